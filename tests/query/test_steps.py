"""Sample, distinct, set operations and select, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.client import LocalSession
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.nodes import ImageField
from odin_graph.query.names.scope import Scope
from odin_graph.query.plan.plan import AllImages, Keys, Members, Plan
from odin_graph.query.plan.steps.sample import scattered
from odin_graph.stores import Stores
from tests.kept import kept

from .worlds import World, build


@kept
def world(stores: Stores) -> World:
    return build(stores, Random(11))


@pytest.fixture
def members(stores: Stores, world: World) -> Query:
    return Query(stores.address, Plan(Members(world.dataset)))


@pytest.fixture
def everything(stores: Stores, world: World) -> Query:
    return Query(stores.address, Plan(AllImages()))


def test_a_sample_depends_on_images_and_seed(members: Query, world: World) -> None:
    drawn = members.sample(10).keys().tolist()
    assert len(set(drawn)) == 10
    assert drawn == [key for key in world.keys if key in drawn]  # in the set's order
    assert set(members.order_by(F("age").desc()).sample(10).keys().tolist()) == set(drawn)
    assert members.sample(10).keys().tolist() == drawn != members.sample(10, seed=1).keys().tolist()
    assert set(members.sample(5).keys().tolist()) < set(drawn)
    assert members.sample(99).keys().tolist() == world.keys
    assert len(members.sample(0)) == 0


def test_a_sample_favors_no_image() -> None:
    """Over 400 seeds each of 40 images is drawn about 100 times: within five standard deviations (8.7) of it."""
    keys = np.arange(1_000, 1_040)
    drawn = np.zeros(len(keys), int)
    for seed in range(400):
        drawn[np.argsort(scattered(keys, seed))[:10]] += 1
    assert drawn.sum() == 4_000
    assert abs(drawn - 100).max() < 5 * 8.7


def test_distinct_keeps_the_first_of_each(members: Query, world: World) -> None:
    found = members.distinct("eye", F("left")).keys().tolist()
    seen: dict[tuple[Any, ...], int] = {}
    for key in world.keys:
        seen.setdefault(tuple(world.rows[key][ImageField(name)] for name in ("eye", "left")), key)
    assert found == list(seen.values())
    assert len(members.group_by("eye", "left").count()) == len(found)


def test_set_operations_are_those_of_keys(members: Query, everything: Query, stores: Stores) -> None:
    old, left = members.where(F("age") > 0), everything.where(F("left") == True)  # noqa: E712 - builds
    a, b = old.keys().tolist(), left.keys().tolist()
    assert old.union(left).keys().tolist() == a + [key for key in b if key not in a]
    assert old.intersection(left).keys().tolist() == [key for key in a if key in b]
    assert old.difference(left).keys().tolist() == [key for key in a if key not in b]
    assert old.union(left).where(F("left").is_null()).count() == old.where(F("left").is_null()).count()
    twice = Query(stores.address, Plan(Keys((a[0], a[0], a[1]))))
    assert twice.union(old[:0]).keys().tolist() == a[:2]
    drawn = str(old.union(left).explain(run=True))
    assert drawn.startswith("union of")
    assert drawn.count("\n└─ where") == 2  # both sides stand one step below


def test_a_union_of_data_sets_reads_todays_labels(members: Query, everything: Query, stores: Stores) -> None:
    first = members[0]
    joined = members.union(everything)
    assert joined.plan.dataset is None
    assert members.union(members[3:]).plan.dataset == members.plan.dataset
    exp = og.Experiment(LocalSession(stores), "vgg/1")
    with pytest.raises(QueryError, match=r"predicts over data sets, and this query reads none"):
        joined.where(exp.wrong)
    assert joined.where(exp.on("test").wrong).count() == members.where(exp.wrong).count()
    assert first.label in joined.to_arrow("label").column("label").to_pylist()


def test_columns_of_both_sides(members: Query, everything: Query) -> None:
    a = members[:3].with_columns(one=F("age"), same=F("iop"))
    b = everything.with_columns(same=F("visits") * 1.0, other=F("eye"))
    table = a.union(b).run()
    assert table.column_names == ["key", "one", "same", "other"]
    assert table.column("other")[:3].to_pylist() == [None] * 3
    assert a.union(b).where(F("other").is_not_null()).count() <= 37
    with pytest.raises(QueryError, match=r"The column 'one' is int in one query and string in the other"):
        a.union(everything.with_columns(one=F("eye")))


def test_select_gives_these_columns_and_no_others(members: Query, stores: Stores) -> None:
    exp = og.Experiment(LocalSession(stores), "vgg/1")
    chosen = members.select("id", F("age"), exp.predicted, half=F("age") / 2)
    assert chosen.to_arrow().column_names == ["key", "id", "age", "predicted", "half"]
    assert chosen.where(F("half") > 1).order_by(F("iop")).to_pandas()["half"].min() > 1
    assert chosen.to_arrow("eye").column_names[:2] == ["key", "eye"]
    sent = Query.from_json(stores.address, chosen.to_json())
    assert sent.to_arrow().equals(chosen.to_arrow())


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda q: q.sample(-1), QueryError, "sample() takes a number of images and a seed, both from 0 on, not k=-1"),
        (lambda q: q.sample(2.5), QueryError, "not k=2.5"),
        (lambda q: q.distinct(), QueryError, "distinct() takes at least one field"),
        (lambda q: q.distinct("sight"), UnknownNameError, "There is no image field 'sight'"),
        (lambda q: q.union("test"), QueryError, "union() takes another query of images, not 'test'"),
        (lambda q: q.union(q.group_by("eye").count()), QueryError, "union() takes another query of images"),
        (lambda q: q.select(), QueryError, "select() takes at least one column"),
        (lambda q: q.sample(3).to_cypher(), QueryError, "sample() has no form in Cypher"),
        (lambda q: q.union(q).to_cypher(), QueryError, "A set operation has no form in Cypher"),
    ],
)
def test_what_does_not_fit_is_refused(
    members: Query, wrong: Callable[[Query], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        wrong(members)
    assert message in str(caught.value)


def test_steps_that_stand_on_each_other_cost_a_schema_each(members: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out: list[int] = []
    before = Scope._before

    def counted(scope: Scope, position: int, added: dict[str, str]) -> Scope:
        worked_out.append(position)
        return before(scope, position, added)

    def schemas(steps: int) -> int:
        worked_out.clear()
        query = members.with_columns(c0=F("visits"))
        for number in range(1, steps):
            query = query.with_columns(**{f"c{number}": F(f"c{number - 1}") + 1})
        rows = query.to_arrow("visits", last=F(f"c{steps - 1}")).to_pylist()
        assert [row["last"] for row in rows] == [
            None if row["visits"] is None else row["visits"] + steps - 1 for row in rows
        ]
        return len(worked_out)

    monkeypatch.setattr(Scope, "_before", counted)
    assert 10 <= schemas(10) <= 30
    assert schemas(40) <= 120, "three a step, and not one for each step before it"
