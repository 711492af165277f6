"""Groups and their aggregates: columns, Cypher and a plain loop give one answer, on both engines."""

from __future__ import annotations

import math
import os
import pickle
import statistics
from collections.abc import Callable
from random import Random, SystemRandom
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import odin_graph as og
from odin_graph import F, fn
from odin_graph.client import LocalSession
from odin_graph.errors import ExpressionError, PositionError, QueryError, UnknownNameError
from odin_graph.objects.query.groups import Groups
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.aggregates import AGGREGATES, aggregate
from odin_graph.query.expressions.functions import NUMBER
from odin_graph.query.expressions.nodes import Aggregate, Field, FrozenLabel
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import Members, Plan
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.where import Where
from odin_graph.stores import Stores
from tests.kept import kept

from .oracle import value_of
from .strategies import predicates
from .worlds import World, build

CASES = [15, pytest.param(1_000, marks=pytest.mark.soak)]


def _sum(values: list[Any]) -> Any:
    if any(isinstance(value, float) for value in values):
        return _near(sum(values), values)
    if sum(map(abs, values)) >= 0.999 * 2**63:
        raise OverflowError(values)
    return sum(values) if values else None


def _mean(values: list[Any]) -> Any:
    return _near(sum(map(float, values)) / len(values), values) if values else None


def _near(value: float, values: list[Any]) -> Any:
    """Up to the order of adding: missing where infinities cancel out."""
    if math.isinf(sum(abs(float(one)) for one in values if math.isfinite(one))) and -math.inf in values:
        return mock.ANY  # large ones may add up to infinity before the other one is added, or after
    size = sum(abs(one) for one in values if abs(one) < 1e300)
    return None if math.isnan(value) else pytest.approx(value, rel=1e-12, abs=1e-6 + 1e-12 * size)


ORACLE: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "n-unique": lambda values: len(set(values)),
    "sum": _sum,
    "mean": _mean,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "any": lambda values: any(values) if values else None,
    "all": lambda values: all(values) if values else None,
}
"""Those that have a form in Cypher."""
TAKES = {
    "n-unique": {"int", "float", "bool", "string", "date", "datetime"},
    "sum": {"int", "float", "bool"},
    "mean": {"int", "float", "bool"},
    "min": {"int", "float", "string", "date", "datetime"},
    "max": {"int", "float", "string", "date", "datetime"},
    "any": {"bool"},
    "all": {"bool"},
}


def questions(types: dict[Field, str]) -> st.SearchStrategy[Aggregate]:
    """An aggregate of a field whose type it takes."""
    every = [Aggregate("count")]
    for name in ORACLE:
        every += [Aggregate(name, field) for field, of in types.items() if of in TAKES.get(name, {of})]
    return st.sampled_from(every)


@pytest.mark.parametrize("cases", CASES)
def test_columns_and_cypher_agree_with_a_loop(stores: Stores, cases: int) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    world = build(stores, Random(number))
    types = {field: type_ for field, type_ in world.types.items() if not isinstance(field, FrozenLabel)}
    keyed = [field for field, type_ in types.items() if not type_.startswith("list[")]

    @seed(number)
    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(
        said=st.none() | predicates(types),
        by=st.lists(st.sampled_from(keyed), max_size=2, unique=True),
        asked=st.lists(questions(types), min_size=1, max_size=3),
    )
    def agree(said: Any, by: list[Field], asked: list[Aggregate]) -> None:
        plan = Plan(Members(world.dataset), () if said is None else (Where(said),))
        keys = tuple(Column(f"key {place}", field) for place, field in enumerate(by))
        columns = tuple(Column(f"value {place}", one) for place, one in enumerate(asked))
        written = Plan(plan.source, (*plan.steps, GroupBy(keys, columns)))
        groups = Groups.from_json(stores.address, Groups(stores.address, written).to_json())
        try:
            images = [key for key in world.keys if said is None or value_of(said, world.rows[key]) is True]
        except OverflowError:
            return  # the other differential test looks at those
        try:
            expected = by_loop(world, images, by, asked)
        except OverflowError:
            with pytest.raises(QueryError, match="may leave 64 bits"):
                groups.to_arrow()
            return
        found = [tuple(map(plain, row.values())) for row in groups]
        assert close(found, expected)
        assert groups.count() == len(expected)
        statement = groups.to_cypher()
        rows = stores.graph.user_read(statement.text, statement.parameters)
        assert close([tuple(map(plain, row.values())) for row in rows], expected)

    agree()


def by_loop(world: World, images: list[int], by: list[Field], asked: list[Aggregate]) -> list[tuple[Any, ...]]:
    """A row a group, ordered by its key, missing values last."""
    groups: dict[tuple[Any, ...], list[int]] = {} if by else {(): []}
    for image in images:
        groups.setdefault(tuple(world.rows[image][field] for field in by), []).append(image)
    order = sorted(groups, key=lambda key: tuple((value is None, "" if value is None else value) for value in key))
    return [
        (
            *map(plain, key),
            *(
                len(groups[key])
                if one.operand is None
                else plain(ORACLE[one.function](some(world, groups[key], one.operand)))
                for one in asked
            ),
        )
        for key in order
    ]


def some(world: World, images: list[int], operand: Any) -> list[Any]:
    values = (value_of(operand, world.rows[image]) for image in images)
    return [int(value) if isinstance(value, bool) else value for value in values if value is not None]


def plain(value: Any) -> Any:
    """As they compare: times without a zone, whatever class they have."""
    native = value.to_native() if hasattr(value, "to_native") else value
    return native.replace(tzinfo=None) if hasattr(native, "tzinfo") else native


def close(found: list[Any], expected: list[Any]) -> bool:
    """Equal, floats up to the order of adding."""
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        for value, want in zip(row, wanted, strict=True):
            if isinstance(value, float) and isinstance(want, int | float):
                assert math.isclose(value, want, rel_tol=1e-12, abs_tol=1e-6), (row, wanted)
            else:
                assert value == want, (row, wanted)
    return True


@kept
def world(stores: Stores) -> World:
    return build(stores, Random(5))


@pytest.fixture
def members(stores: Stores, world: World) -> Query:
    return Query(stores.address, Plan(Members(world.dataset)))


def test_groups_do_what_a_table_does(members: Query) -> None:
    ages = members.where(F("visits").is_not_null()).group_by("visits").agg(n=og.count(), oldest=F("age").max())
    frame = ages.to_pandas()
    assert frame["visits"].tolist() == [0, 1, 2, 3]
    assert frame["n"].sum() == len(members.where(F("visits").is_not_null()))
    assert len(ages) == 4
    assert ages[0]["visits"] == 0
    assert ages[-1] == list(ages)[-1]
    assert [row["visits"] for row in ages[1:3]] == [1, 2]
    most = ages.order_by(F("n").desc()).limit(2).to_pandas()
    assert most["n"].tolist() == sorted(frame["n"], reverse=True)[:2]
    assert ages.where(F("visits") > 1).select("n").to_arrow().column_names == ["n"]
    named = ages.with_columns(half=F("n") / 2)
    assert named.to_pandas()["half"].tolist() == (frame["n"] / 2).tolist()
    assert pickle.loads(pickle.dumps(named)).to_arrow().equals(named.to_arrow())
    with pytest.raises(PositionError, match="There is no group at position 9: there are 4"):
        ages[9]


def test_expressions_over_aggregates(members: Query, stores: Stores) -> None:
    exp = og.Experiment(LocalSession(stores), "vgg/1")
    made = members.group_by("label", sure=exp.confidence > 0.6).agg(
        n=og.count(),
        share=exp.wrong.mean(),
        wrong=exp.wrong.sum(),
        ratio=exp.wrong.sum() / exp.wrong.count(),
        twice=2 * F("sure").if_else(1, 0),
    )
    for row in made:
        inside = members.where(F("label") == row["label"])
        sure = exp.confidence > 0.6
        inside = inside.where(sure.is_null() if row["sure"] is None else sure if row["sure"] else ~sure)
        wrong = inside.to_arrow(wrong=exp.wrong).column("wrong").drop_null().to_pylist()
        assert row["n"] == len(inside)
        assert row["share"] == row["ratio"] == (statistics.mean(wrong) if wrong else None)
        assert row["wrong"] == (sum(wrong) if wrong else None)
        assert row["twice"] == (None if row["sure"] is None else 2 * row["sure"])


def test_std_and_median_are_numpys(members: Query) -> None:
    for row in members.group_by("left").agg(std=F("iop").std(), median=F("iop").median()):
        inside = members.where(F("left").is_null() if row["left"] is None else F("left") == row["left"])
        values = inside.to_arrow("iop").column("iop").drop_null().to_numpy()
        with np.errstate(all="ignore"):  # of infinities that cancel out
            std, median = np.std(values, ddof=1), np.median(values)
        assert row["std"] == (None if np.isnan(std) else pytest.approx(std, rel=1e-12))
        assert row["median"] == (None if np.isnan(median) else pytest.approx(median, rel=1e-12))


def test_of_nothing_there_is_one_row(members: Query) -> None:
    nothing = members.where(F("age") > 5, F("age") < 6)
    row = nothing.agg(n=og.count(), some=F("age").count(), mean=F("age").mean(), middle=F("age").median())[0]
    assert row == {"n": 0, "some": 0, "mean": None, "middle": None}
    assert len(nothing.group_by("label").count()) == 0


def test_sums_of_large_integers(members: Query) -> None:
    with pytest.raises(QueryError, match="A sum of these integers may leave 64 bits"):
        members.agg(total=(F("age") * 0 + 2**62).sum()).to_arrow()
    assert members.agg(mean=(F("age").fill_null(0) * 0 + 2**62).mean())[0]["mean"] == 2.0**62


def test_a_users_aggregate(members: Query) -> None:
    @aggregate("geometric-mean", NUMBER, "float")
    def geometric_mean(values: pa.Array) -> float:
        return float(np.exp(np.log(values.to_numpy()).mean()))

    try:
        row = members.where(F("visits") > 0).agg(middle=og.aggregated("geometric-mean", F("visits")))[0]
        visits = members.where(F("visits") > 0).to_arrow("visits").column("visits").to_pylist()
        assert row["middle"] == pytest.approx(statistics.geometric_mean(visits))
    finally:
        del AGGREGATES._entries["geometric-mean"]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda q: q.group_by("label").agg(), QueryError, "agg() takes at least one column"),
        (lambda q: q.group_by("labl").count(), UnknownNameError, "Did you mean 'label'?"),
        (lambda q: q.group_by(F("age") / 10), QueryError, "has no name: give it one"),
        (lambda q: q.group_by("label").agg(label=og.count()), QueryError, "Two columns are named 'label'"),
        (
            lambda q: q.group_by("label").agg(a=F("age")),
            ExpressionError,
            "has a value for each image of a group: aggregate it",
        ),
        (
            lambda q: q.group_by("label").agg(a=F("eye").mean()),
            ExpressionError,
            'F("eye") is a string, and mean() takes',
        ),
        (lambda q: q.group_by("label").agg(a=F("age").max().mean()), ExpressionError, "use it in group_by"),
        (lambda q: q.where(F("age").max() > 1), ExpressionError, 'F("age").max() is for a group'),
        (lambda q: q.group_by("label").count().where(F("age") > 1), UnknownNameError, "no column of the groups 'age'"),
        (lambda q: q.group_by("label").agg(n=og.aggregated("mode", F("age"))), UnknownNameError, "no aggregate 'mode'"),
    ],
)
def test_what_does_not_fit_is_refused(
    members: Query, wrong: Callable[[Query], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        wrong(members).count()
    assert message in str(caught.value)


def test_json_of_groups_is_none_of_images(members: Query, stores: Stores) -> None:
    groups = members.group_by(decade=fn.floor(F("age") / 10)).count()
    with pytest.raises(QueryError, match=r"Groups.from_json reads it"):
        Query.from_json(stores.address, groups.to_json())
    with pytest.raises(QueryError, match=r"Query.from_json reads it"):
        Groups.from_json(stores.address, members.to_json())
