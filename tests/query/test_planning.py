"""What the planner thinks, what it changes, and what `explain` says of it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.columns.statistics import Statistics, statistics_of
from odin_graph.query.expressions.nodes import Added, And, Compare, ImageField, Node, SortKey
from odin_graph.query.expressions.selectivity import selectivity
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import AllImages, Plan, Step
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.query.planner.rewrite import rewritten
from tests.kept import kept

IMAGES = 200
AGES = [n % 50 for n in range(IMAGES)]
COLUMNS = {
    "age": pa.array(AGES),
    "site": pa.array(["Lima"] * 2 + ["Oslo"] * 148 + [None] * 50),
    "left": pa.array([n % 10 == 0 for n in range(IMAGES)]),
}


def known(node: Node) -> Statistics | None:
    return statistics_of(COLUMNS[node.name]) if isinstance(node, ImageField) and node.name in COLUMNS else None


@pytest.mark.parametrize(
    ("said", "share"),
    [
        (F("age") == 7, 0.02),
        (F("age") != 7, 0.98),
        (F("age") < 25, 0.5),
        (25 < F("age"), 0.48),  # noqa: SIM300 - the literal on the left is the case
        (F("age").between(10, 19), 0.2 + 0.04),
        (F("site") == "Lima", 0.01),
        (F("site") == "Rome", 0.0),
        (F("site").is_null(), 0.25),
        (~(F("site") == "Oslo"), 0.01),
        (F("site").isin(["Lima", "Oslo"]), 0.75),
        (F("left"), 0.1),
        (~F("left"), 0.9),
        (F("left") | (F("age") < 25), 0.55),
        (F("left") & (F("age") < 25), 0.05),
    ],
)
def test_shares_follow_the_statistics(said: og.Expr, share: float) -> None:
    assert selectivity(said.node, known) == pytest.approx(share, abs=0.06)


def test_of_what_nothing_is_known_a_share_is_assumed() -> None:
    for said in (F("new") == 1, F("new") > 1, F("new").is_null(), F("new").contains("x"), F("new") == F("age")):
        assert 0 < selectivity(said.node, known) < 1


def step(name: str, age: int = 10) -> Step:
    return {
        "where": Where((F("age") > age).node),
        "rare": Where((F("site") == "Lima").node),
        "regex": Where(F("site").matches("L.*").node),
        "doubled": WithColumns((Column("doubled", (F("age") * 2).node),)),
        "reads": Where(Compare(">", Added("doubled"), F("age").node)),
        "order": OrderBy((SortKey(F("age").node),)),
        "slice": Slice(None, 5),
    }[name]


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        (["order", "where"], ["where", "order"]),
        (["doubled", "where"], ["where", "doubled"]),
        (["doubled", "reads"], ["doubled", "reads"]),
        (["slice", "where"], ["slice", "where"]),
        (["order", "slice", "where"], ["order", "slice", "where"]),
        (["doubled", "order", "rare"], ["rare", "doubled", "order"]),
    ],
)
def test_filters_move_to_where_they_mean_the_same(written: list[str], runs: list[str]) -> None:
    plan = Plan(AllImages(), tuple(map(step, written)))
    assert rewritten(plan, known) == Plan(AllImages(), tuple(map(step, runs)))


def test_the_most_selective_comes_first_and_the_dear_last() -> None:
    def operands(*names: str) -> list[Node]:
        (only,) = rewritten(Plan(AllImages(), tuple(map(step, names))), known).steps
        assert isinstance(only, Where)
        assert isinstance(only.predicate, And)
        return list(only.predicate.operands)

    where, rare, regex = (held.predicate for held in map(step, ("where", "rare", "regex")) if isinstance(held, Where))
    assert operands("where", "rare") == operands("rare", "where") == [rare, where]
    assert operands("regex", "where", "rare") == [rare, where, regex]


@kept
def scans(db: og.Workspace) -> og.Workspace:
    metadata = {name: column.to_pylist() for name, column in COLUMNS.items()}
    db.images.add(images=np.zeros((IMAGES, 2, 2), np.uint8), labels=["a", "b"] * (IMAGES // 2), metadata=metadata)
    db.datasets.add("test", db.images()[:100])
    return db


def test_expected_rows_are_those_that_come_out(scans: og.Workspace) -> None:
    query = scans.images("test").where(F("age") < 25, F("label") == "a").order_by(F("age")).limit(7)
    query.to_arrow("age")  # now its column is held
    parts = query.explain(run=True).parts
    assert [part.rows for part in parts] == [7, 26, 26, 100]
    assert parts[0].expected == 7
    assert parts[3].expected == 100
    assert parts[2].expected == pytest.approx(26, abs=5)
    assert parts[2].bytes is not None
    assert parts[2].bytes > 0
    assert "which throws out most for its cost" in parts[2].why
    groups = scans.images("test").group_by("label").count()
    assert [part.expected for part in groups.explain().parts] == [2, 100]


def test_an_explanation_is_json(scans: og.Workspace) -> None:
    query = scans.images().where(F("age") == 3)
    query.to_arrow("age")  # the column is held from here on
    before, after = query.explain(), query.explain(run=True)
    assert json.loads(json.dumps(before.to_json()))[0]["rows"] is None
    (filtered, source) = json.loads(json.dumps(after.to_json()))
    assert filtered["rows"] == AGES.count(3)
    assert (filtered["depth"], source["depth"]) == (0, 1)
    assert source["expected"] == source["rows"] == IMAGES
    assert set(filtered) == {"depth", "does", "engine", "why", "expected", "rows", "bytes", "seconds"}
    drawn = str(after).splitlines()[0]
    assert drawn.startswith('where F("age") == 3  → 4 rows (expected about 4), ')


def test_nothing_is_read_to_plan(scans: og.Workspace) -> None:
    """Of a field whose column is not held, a usual share is assumed."""
    said = scans.images().where(F("site") == "Oslo").explain().parts[0]
    assert said.expected == IMAGES * 0.1
