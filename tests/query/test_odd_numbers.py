"""-0.0 is 0.0, NaN is a missing value, infinity is a value, and no integer goes round: wherever one looks."""

from __future__ import annotations

import json
import math
import warnings
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

import odin_graph as og
from odin_graph import F, fn
from odin_graph.errors import ExpressionError, MetadataError, QueryError
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.names.scope import Scope
from tests.kept import kept

X = [0.0, -0.0, math.inf, -math.inf, None, 1.5, -0.0, 2.0**53]
WHOLE = [0, 2**53, 2**53 + 1, -(2**63), 2**63 - 1, None, 7, -7]


class Side(str, Enum):  # noqa: UP042 - whose str() is "Side.LEFT"
    LEFT = "left"


@kept
def odd(db: og.Workspace) -> og.Workspace:
    pixels = np.arange(len(X) * 64, dtype=np.uint8).reshape(-1, 8, 8)
    sides = ["left", "right"] * 4
    db.images.add(images=pixels, ids=[f"i{n}" for n in range(8)], metadata={"x": X, "whole": WHOLE, "side": sides})
    return db


@pytest.fixture
def images(odd: og.Workspace) -> og.Query:
    return odd.images().order_by(F("id"))


def found(images: og.Query, said: Expr) -> list[int]:
    """Which images a condition is true of, by the query and by its Cypher."""
    query = images.where(said)
    rows = [int(id_[1:]) for id_ in query.to_arrow("id").column("id").to_pylist()]
    statement = query.to_cypher()
    assert [int(row["id"][1:]) for row in images._stores.graph.user_read(statement.text, statement.parameters)] == rows
    return rows


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        (F("x") == 0, [0, 1, 6]),
        (F("x").isin([-0.0]), [0, 1, 6]),
        (F("x") < 0, [3]),
        (F("x") == math.inf, [2]),
        (F("x").isin([math.inf, 1.5]), [2, 5]),
        (F("x") < math.inf, [0, 1, 3, 5, 6, 7]),
        (~(F("x") - F("x") > -1), []),
        ((F("x") - F("x")).is_null(), [2, 3, 4]),
        ((F("x") * 0).is_null(), [2, 3, 4]),
        ((F("x") * 0 == 0), [0, 1, 5, 6, 7]),
        ((F("x") / F("x")).is_null(), [0, 1, 2, 3, 4, 6]),
        (fn.sqrt(F("x")).is_null(), [3, 4]),
        (fn.log(F("x")).is_null(), [0, 1, 3, 4, 6]),
        ((F("x") - F("x")).fill_null(9.0) == 9, [2, 3, 4]),
        (F("whole") == 2.0**53, [1]),
        (F("whole") > 2.0**53, [2, 4]),
        (F("whole") < 2.0**63, [0, 1, 2, 3, 4, 6, 7]),
        (F("whole") >= -(2.0**63), [0, 1, 2, 3, 4, 6, 7]),
        (F("whole").isin([2.0**53, 2.0**63, 0.5]), [1]),
        (F("x").isin([2**53 + 1]), []),
        (F("x") == 2**53 + 1, []),
        (F("x") < 2**53 + 1, [0, 1, 3, 5, 6, 7]),
        (F("whole") % -1 == 0, [0, 1, 2, 3, 4, 6, 7]),
        (F("whole") % 2**62 == 0, [0, 3]),
        (F("whole") % (2**63 - 1) == 2**63 - 8, [7]),
        (F("side") == Side.LEFT, [0, 2, 4, 6]),
    ],
)
def test_one_rule_for_conditions(images: og.Query, said: Expr, rows: list[int]) -> None:
    assert found(images, said) == rows


def test_one_rule_for_groups_and_order(images: og.Query, db: og.Workspace) -> None:
    groups = images.group_by("x").agg(n=og.count())
    assert groups.to_arrow().column("n").to_pylist() == [1, 3, 1, 1, 1, 1]
    statement = groups.to_cypher()
    assert [row["n"] for row in db.cypher(statement.text, **statement.parameters)] == [1, 3, 1, 1, 1, 1]
    assert images.agg(n=F("x").n_unique())[0] == {"n": 5}
    assert images.distinct("x").count() == 6
    assert images.order_by(F("x")).to_arrow("id").column("id").to_pylist() == [
        f"i{n}" for n in (3, 0, 1, 6, 5, 7, 2, 4)
    ]
    row = images.agg(sum=F("x").sum(), mean=F("x").mean(), std=F("x").std(), middle=F("x").median(), low=F("x").min())[
        0
    ]
    assert row == {"sum": None, "mean": None, "std": None, "middle": 0.0, "low": -math.inf}
    assert not np.signbit(images.where(F("x") == 0).to_arrow("x").column("x").to_numpy()).any()
    assert db.sql("SELECT count(DISTINCT x) AS n, count(x) AS m FROM images").to_pylist() == [{"n": 5, "m": 7}]
    whole = db.datasets.add("all", images.where(F("x").is_not_null()), label=None)
    with warnings.catch_warnings(action="ignore"):  # of shares that so few groups cannot reach
        parts = whole.split({"train": 0.5, "test": 0.5}, group_by="x", seed=1)
    sides = [set(db.images(part.id).to_arrow("x").column("x").to_pylist()) for part in parts.values()]
    assert not set.intersection(*sides)


def test_a_not_a_number_that_another_client_stored_is_missing(images: og.Query, db: og.Workspace) -> None:
    db._stores.graph.write("MATCH (i:Image {id: 'i5'}) SET i.x = $nan", {"nan": math.nan})
    assert found(images, F("x").is_null()) == [4, 5]
    assert found(images, ~(F("x") > -1)) == [3]
    assert db.sql("SELECT count(x) AS m FROM images").to_pylist() == [{"m": 6}]


@pytest.mark.parametrize(
    "said",
    [F("whole") + 1, F("whole") - 1, F("whole") * 3, -F("whole"), abs(F("whole")), 0 - F("whole")],
)
def test_integers_never_go_round(images: og.Query, db: og.Workspace, said: Expr) -> None:
    """What leaves 64 bits is refused, in columns and by the graph; times 1.0 it is a float."""
    with pytest.raises(QueryError, match="64 bits"):
        images.where(said > 0).count()
    statement = images.where(said > 0).to_cypher()
    with pytest.raises(QueryError, match="refuses"):
        db.cypher(statement.text, **statement.parameters)
    assert images.to_arrow(big=F("whole") * 1.0 * 3).column("big").to_pylist()[4] == 3 * 2.0**63
    with pytest.raises(QueryError, match="may leave 64 bits"):
        images.agg(sum=F("whole").sum()).to_arrow()
    assert images.where(F("whole").isin([2**53 + 1])).agg(sum=F("whole").sum())[0] == {"sum": 2**53 + 1}


def test_infinity_travels(images: og.Query) -> None:
    """A query with it has a JSON form, and reads as it was written."""
    query = images.where(F("x") < math.inf)
    again = og.Query.from_json(query.address, json.loads(json.dumps(query.to_json(), allow_nan=False)))
    assert again.plan == query.plan
    assert "< inf" in repr(again)
    assert again.count() == 6


def test_odd_literals_are_refused_by_what_is_wrong(images: og.Query, db: og.Workspace) -> None:
    late = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
    with pytest.raises(ExpressionError, match="in no year from 1 to 9999"):
        images.where(F("created_at") < late)
    with pytest.raises(MetadataError, match="in no year from 1 to 9999"):
        db.images.update({"i0": {"seen": late}})
    with pytest.raises(ExpressionError, match="half a character"):
        images.where(F("side") == "\ud800")
    with pytest.raises(ExpressionError, match="takes a list of values"):
        images.where(F("x").isin(5))  # type: ignore[arg-type]
    assert images.where(F("created_at") > np.datetime64("2020-01-01", "ns")).count() == 8
    assert images.where(F("created_at") > datetime(2020, 1, 1, tzinfo=UTC)).count() == 8
    deep: Any = F("whole")
    for _ in range(1_000):
        deep = deep + 1
    with pytest.raises(QueryError, match="nested"):
        images.where(deep > 0)


def test_lists_have_no_groups(images: og.Query, db: og.Workspace) -> None:
    """What looks for equal lists says so, whatever asks: it is no error of Arrow's."""
    db.images.update({"i0": {"tags": ["a", "b"]}})
    with pytest.raises(ExpressionError, match="by which no groups are made"):
        images.distinct("tags")
    with pytest.raises(ExpressionError, match="takes a bool or a date"):
        images.agg(n=F("tags").n_unique())


def test_labels_of_which_all_are_missing(images: og.Query, db: og.Workspace) -> None:
    bare = db.datasets.add("bare", images, label=None)
    for said in (F("label").isin(["a"]), F("label").isin([1, "a"]), F("label") == "a", ~F("label").isin(["a"])):
        assert db.images(bare.id).where(said).count() == 0


def test_the_columns_of_a_plan_are_worked_out_once(images: og.Query, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step more costs a step more, however each column depends on the one before."""
    worked_out = 0
    before = Scope._before

    def counted(scope: Scope, position: int, added: dict[str, str]) -> Scope:
        nonlocal worked_out
        worked_out += 1
        return before(scope, position, added)

    monkeypatch.setattr(Scope, "_before", counted)
    query = images.select("whole").where(F("whole").between(-9, 9))
    for place in range(60):
        query = query.with_columns(**{f"c{place}": F(f"c{place - 1}" if place else "whole") - 1})
    assert worked_out <= 70
    assert query.where(F("c59") > 0).count() == 0
    assert worked_out <= 140
    og.Query.from_json(query.address, query.to_json())
    assert worked_out <= 210


def test_of_many_steps_each_runs(images: og.Query) -> None:
    for place in range(1_200):
        images = images.limit(2_000 - place)
    assert images.count() == 8
    assert len(images.explain(run=True).parts) == 1_202


def test_no_digit_is_lost_on_the_way_to_pandas(odd: og.Workspace, images: og.Query) -> None:
    """Pandas makes floats of integers beside missing values, which is wrong only beyond 2**53."""
    frames = (
        images.to_pandas("id", "whole"),
        odd.cypher("MATCH (i:Image) RETURN i.whole AS whole ORDER BY i.id").to_pandas(),
        odd.images().group_by("whole").agg(n=og.count()).order_by(F("whole")).to_pandas(),
    )
    for frame in frames:
        values = [None if value is pd.NA else value for value in frame["whole"].tolist()]
        assert sorted(value for value in values if value is not None) == sorted(n for n in WHOLE if n is not None)
        assert values.count(None) == 1
    few = images.where(F("whole").is_null() | F("whole").between(-10, 10)).to_pandas("whole")
    assert few["whole"].dtype == np.float64
