"""Functions over stored values, lists among them, by way of columns and of Cypher; a user's own function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import odin_graph as og
from odin_graph import F, fn
from odin_graph.errors import ExpressionError, QueryError
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.expressions.functions import FUNCTIONS, NUMBER, function
from tests.kept import kept

TAGS: list[Any] = [["a", "b"], ["b"], None, ["日本", "a"], ["c", "c"]]
COUNTS: list[Any] = [[1, 2], [3], [2, 2], None, [0]]
AGES: list[Any] = [30, -7, None, 0, 61]
NAMES: list[Any] = [" Zoë ", "lima", None, "ÉCOLE", "日本"]


@kept
def people(db: og.Workspace) -> og.Workspace:
    pixels = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    metadata = {"tags": TAGS, "counts": COUNTS, "age": AGES, "name": NAMES}
    db.images.add(images=pixels, metadata=metadata, progress=False)
    return db


@pytest.fixture
def stored(people: og.Workspace) -> og.Query:
    return people.images()


def values(query: og.Query, said: Expr) -> list[Any]:
    found: list[Any] = query.to_arrow("id", said=said).column("said").to_pylist()
    return found


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (F("tags").has("a"), [True, False, None, True, False]),
        (F("counts").has(2), [True, False, True, None, False]),
        (F("counts").has(2.5), [False, False, False, None, False]),
        (F("counts").has(F("age") % 3), [False, False, None, None, False]),
        (F("tags").length(), [2, 1, None, 2, 2]),
        (F("name").length(), [5, 4, None, 5, 2]),
        (F("name").strip().lower(), ["zoë", "lima", None, "école", "日本"]),
        (F("name").upper().fill_null("nobody"), [" ZOË ", "LIMA", "nobody", "ÉCOLE", "日本"]),
        (F("age") % 4, [2, 1, None, 0, 1]),
        (F("age") % -4, [-2, -3, None, 0, -3]),
        (F("age") % 0, [None] * 5),
        (100 % F("age"), [10, -5, None, None, 39]),
        (abs(F("age")), [30, 7, None, 0, 61]),
        (fn.sqrt(F("age")), [math.sqrt(30), None, None, 0.0, math.sqrt(61)]),
        (fn.log(F("age")), [math.log(30), None, None, None, math.log(61)]),
        (fn.exp(F("age") * 30), [None, pytest.approx(math.exp(-210)), None, 1.0, None]),
        (fn.round(F("age") / 4), [8.0, -2.0, None, 0.0, 15.0]),
        ((F("age") > 0).if_else("old", F("name").strip()), ["old", "lima", None, "ÉCOLE", "old"]),
        (F("age").fill_null(0.5) + 1, [31.0, -6.0, 1.5, 1.0, 62.0]),
    ],
)
def test_functions_over_columns(stored: og.Query, said: Expr, expected: list[Any]) -> None:
    assert values(stored, said) == expected


@pytest.mark.parametrize(
    "said",
    [
        F("tags").has("a"),
        ~F("counts").has(2),
        F("tags").length() == 2,
        F("name").strip().matches("[a-z]+"),
        F("age").fill_null(0) % -4 < -1,
        (F("age") > 0).if_else(F("age"), 7) == 7,
    ],
)
def test_cypher_says_the_same(db: og.Workspace, stored: og.Query, said: Expr) -> None:
    query = stored.where(said)
    statement = query.to_cypher()
    assert [row["key"] for row in db.cypher(statement.text, **statement.parameters)] == query.keys().tolist() != []


def test_a_function_without_a_form_in_cypher_says_so(stored: og.Query) -> None:
    with pytest.raises(QueryError, match=r'fn.exp\(F\("age"\)\) has no form in Cypher: the function has none'):
        stored.where(fn.exp(F("age")) > 1).to_cypher()


def test_a_users_function_is_one_line_away(stored: og.Query) -> None:
    @function("hypotenuse", NUMBER, NUMBER, gives="float", cypher="sqrt({0} * {0} + {1} * {1})")
    def hypotenuse(a: pa.Array, b: pa.Array) -> pa.Array:
        """Pythagoras."""
        return pc.sqrt(pc.cast(pc.add(pc.multiply(a, a), pc.multiply(b, b)), pa.float64()))

    try:
        assert values(stored, fn.hypotenuse(F("age"), 4)) == [
            math.hypot(age, 4) if age is not None else None for age in AGES
        ]
        assert "hypotenuse" in dir(fn)
        sent = stored.where(fn.hypotenuse(F("age"), 4) > 10)
        assert og.Query.from_json(sent.address, sent.to_json()).keys().tolist() == sent.keys().tolist() != []
        assert "sqrt(i.`age` * i.`age`" in sent.to_cypher().text
        with pytest.raises(
            ExpressionError, match=r"F\(\"name\"\) is a string, and hypotenuse\(\) takes a float or an int"
        ):
            stored.where(fn.hypotenuse(F("name"), 4) > 10)
    finally:
        del FUNCTIONS._entries["hypotenuse"]
