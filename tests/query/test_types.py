"""Types are known when a step is built."""

from __future__ import annotations

import pytest

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions import Expr, F
from odin_graph.query.nodes import Field, ImageField
from odin_graph.query.types import check_predicate, check_sort_key, infer

TYPES = {
    "age": "int",
    "iop": "float",
    "site": "string",
    "seen": "datetime",
    "left": "bool",
    "tags": "list[string]",
    "nothing": "null",
}


def type_of(field: Field) -> str:
    assert isinstance(field, ImageField)
    return TYPES[field.name]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (F("age") + 1, "int"),
        (F("age") + 1.0, "float"),
        (F("age") / 2, "float"),
        (F("age") > F("iop"), "bool"),
        (F("nothing") == "x", "bool"),
        (F("tags").is_null(), "bool"),
        (F("left") & (F("site") == "a"), "bool"),
    ],
)
def test_types_follow_the_operators(said: Expr, expected: str) -> None:
    assert infer(said.node, type_of) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (F("age") > "60", "F(\"age\") > '60' compares an int with a string: give an int."),
        (F("age") == True, 'F("age") == True compares an int with a bool: give an int.'),  # noqa: E712
        (F("seen") > "2020-01-01", "F(\"seen\") > '2020-01-01' compares a datetime with a string: give a datetime."),
        (F("site").isin(["a", 1]), "F(\"site\").isin(['a', 1]) compares a string with an int: give a string."),
        (F("left") > False, 'F("left") > False: a bool has no order, so only == and != compare it.'),
        (F("site") + 1 > 2, 'F("site") + 1 calculates with a string: + takes numbers.'),
        (F("age").contains("6"), 'F("age").contains(\'6\'): F("age") is an int, and .contains() tests a string.'),
        (F("age"), 'F("age") is an int, no condition: compare it with something, or ask .is_null() of it.'),
        (F("age") & (F("age") > 1), 'F("age") is an int, no condition'),
        (~F("site"), 'F("site") is a string, no condition'),
        (F("tags") == F("tags"), "of such a field only .is_null() can be asked here."),
    ],
)
def test_types_that_do_not_fit_are_an_error_at_once(said: Expr, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        check_predicate(said.node, type_of)
    assert message in str(caught.value)


def test_a_list_has_no_order() -> None:
    with pytest.raises(ExpressionError, match="which has no order: order by another field"):
        check_sort_key(F("tags").desc(), type_of)
