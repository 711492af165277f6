"""Orders, neighbors, conditions and groups by what units say, on both engines, against the plainest loop."""

from __future__ import annotations

import operator
import os
from random import SystemRandom
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import odin_graph as og
from odin_graph import F
from odin_graph.objects.layers.units import Units
from odin_graph.query.expressions.expressions import Expr

from . import unit_oracle, unit_world
from .unit_oracle import AGGREGATES, METRICS, in_order
from .unit_world import CHANNELS, CODECS, LAYERS, SIDE, Captured, answering

CASES = [25, pytest.param(3_000, marks=pytest.mark.soak)]
OPS: dict[str, Any] = {
    name: getattr(operator, word)
    for name, word in {"<": "lt", "<=": "le", "==": "eq", "!=": "ne", ">=": "ge", ">": "gt"}.items()
}
WAYS = [
    ("read", "u8"),
    ("read", "u8"),
    ("read", "f16"),
    ("read", "f32"),
    ("run", None),
    ("store", "u8"),
    ("store", "f32"),
    ("any", None),
]
WEIGHTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])

pytestmark = pytest.mark.filterwarnings("ignore::odin_graph.errors.NotFiniteWarning")


class Asked:
    """A group of units of a layer, in the builder and as captured; and images, as a query and as positions."""

    def __init__(self, db: og.Workspace, world: Captured, draw: st.DataObject) -> None:
        self.world, self.draw = world, draw
        self.experiment, self.layer = draw.draw(st.sampled_from([*CODECS.values()])), draw.draw(st.sampled_from(LAYERS))
        view = draw.draw(st.sampled_from(["units", "units", "units", "channels-max", "channels-mean"]))
        most = CHANNELS if view != "units" else CHANNELS * SIDE * SIDE
        numbers = draw.draw(st.lists(st.integers(0, most - 1), min_size=1, max_size=8))
        layer = db.experiment(self.experiment).layer(self.layer)
        every: Units = layer.units if view == "units" else getattr(layer.channels, view.removeprefix("channels-"))()
        self.units = every[numbers]
        self.values = world.values(self.experiment, self.layer, view)[:, numbers]
        self.query, self.at = self._images(db)

    def _images(self, db: og.Workspace) -> tuple[Any, NDArray[np.int64]]:
        """Of the data set, of all, or some of which one is there twice; of some age or place, or any."""
        number = len(self.world.keys)
        at = np.arange(unit_world.IMAGES)
        source = self.draw.draw(st.sampled_from(["data set", "data set", "all", "some"]))
        if source == "data set":
            query = db.images("small")
        elif source == "all":
            query, at = db.images(), np.arange(number)
        else:
            at = np.array(self.draw.draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=30)))
            query = db.images([db.image(f"small{n:03}.png") for n in at])
        said = self.draw.draw(st.sampled_from(["any", "age", "site"]))
        if said == "age":
            return query.where(F("age") > 35), at[[(self.world.age[n] or 0) > 35 for n in at]]
        if said == "site":
            return query.where(F("site") != "Lima"), at[[self.world.site[n] != "Lima" for n in at]]
        return query, at

    @property
    def keys(self) -> NDArray[np.int64]:
        return self.world.keys[self.at]

    def aggregate(self) -> tuple[Expr, unit_oracle.Floats]:
        """An expression, and what it is of every image of the workspace."""
        name = self.draw.draw(st.sampled_from(AGGREGATES))
        weights = None
        if name == "weighted":
            size = len(self.units)
            weights = self.draw.draw(st.lists(WEIGHTS | WEIGHTS.map(operator.neg), min_size=size, max_size=size))
        said = self.units.weighted(weights) if weights is not None else getattr(self.units, name)()
        return said, unit_oracle.aggregate(name, self.values, weights)


def highest(asked: Asked) -> None:
    said, every = asked.aggregate()
    largest = asked.draw.draw(st.booleans())
    found = asked.query.order_by(said.desc() if largest else said)
    order = in_order(asked.keys, every[asked.at], largest=largest)
    if asked.draw.draw(st.integers(0, 4)):
        k = asked.draw.draw(st.integers(1, 150))
        found, order = found.limit(k), order[:k]
    assert found.keys().tolist() == asked.keys[order].tolist()


def nearest(asked: Asked) -> None:
    metric = asked.draw.draw(st.sampled_from(METRICS))
    size = len(asked.units)
    weights = asked.draw.draw(st.none() | st.lists(WEIGHTS, min_size=size, max_size=size))
    k = asked.draw.draw(st.integers(1, 130))
    finite = np.flatnonzero(np.isfinite(asked.values).all(axis=1))
    with_image = len(finite) > 0 and asked.draw.draw(st.booleans())
    at = np.unique(asked.at)
    if with_image:
        of = int(asked.draw.draw(st.sampled_from(finite.tolist())))
        query = asked.values[of].astype(np.float64)
        found = asked.query.nearest(f"small{of:03}.png", by=asked.units, k=k, metric=metric, weights=weights)
        at = at[at != of]
    else:
        query = np.array(asked.draw.draw(st.lists(st.integers(-40, 40), min_size=size, max_size=size))) / 4
        found = asked.query.nearest(query.tolist(), by=asked.units, k=k, metric=metric, weights=weights)
    away = unit_oracle.distance(metric, asked.values[at], query, weights)
    keys = asked.world.keys[at]
    order = in_order(keys, away, largest=False)
    order = order[~np.isnan(away[order])][:k]
    table = found.to_arrow("id")
    said = table.column("distance").to_numpy()
    np.testing.assert_allclose(said, away[order], rtol=0, atol=1e-12)
    if metric == "cosine":  # a cosine is rounded, so that equal ones are equal to 15 digits
        by_key = dict(zip(keys.tolist(), away.tolist(), strict=True))
        np.testing.assert_allclose([by_key[key] for key in table.column("key").to_pylist()], said, rtol=0, atol=1e-12)
    else:
        assert table.column("key").to_pylist() == keys[order].tolist()


def condition(asked: Asked) -> None:
    said, every = asked.aggregate()
    name = asked.draw.draw(st.sampled_from([*OPS]))
    values = every[asked.at]
    some = values[np.isfinite(values)]
    if len(some) and asked.draw.draw(st.booleans()):
        threshold = float(asked.draw.draw(st.sampled_from(some.tolist())))
    else:
        threshold = asked.draw.draw(st.integers(-60, 60)) / 4
    given_ = OPS[name](said, threshold)
    holds = [None if np.isnan(value) else bool(OPS[name](value, threshold)) for value in values]
    younger = [None if (age := asked.world.age[n]) is None else age < 40 for n in asked.at]
    match asked.draw.draw(st.sampled_from(["alone", "not", "or", "and", "not or", "null"])):
        case "alone":
            query, expected = given_, holds
        case "not":
            query, expected = ~given_, [negated(one) for one in holds]
        case "or":
            query, expected = given_ | (F("age") < 40), [either(*one) for one in zip(holds, younger, strict=True)]
        case "and":
            query = given_ & ~(F("age") < 40)
            expected = [negated(either(negated(one), b)) for one, b in zip(holds, younger, strict=True)]
        case "not or":
            query = ~(given_ | (F("age") < 40))
            expected = [negated(either(*one)) for one in zip(holds, younger, strict=True)]
        case _:
            query, expected = said.is_null(), [one is None for one in holds]
    assert asked.query.where(query).keys().tolist() == asked.keys[[one is True for one in expected]].tolist()


def negated(said: bool | None) -> bool | None:
    return None if said is None else not said


def either(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def grouped(asked: Asked) -> None:
    said, every = asked.aggregate()
    rows = asked.query.group_by("site").agg(n=og.count(), some=said.count(), most=said.max()).to_arrow().to_pylist()
    sites = np.array([asked.world.site[n] for n in asked.at])
    values = every[asked.at]
    expected = []
    for site in sorted(set(sites)):
        ours = values[sites == site]
        there = ours[~np.isnan(ours)]
        most = float(there.max()) if len(there) else None
        expected.append({"site": site, "n": len(ours), "some": len(there), "most": most})
    assert rows == expected


def columns(asked: Asked) -> None:
    """Exact values, and arithmetic of them."""
    said, every = asked.aggregate()
    table = asked.query.to_arrow("id", said=said, more=said / 2 + F("age"))
    values = every[asked.at]
    ages = np.array([np.nan if (age := asked.world.age[n]) is None else age for n in asked.at])
    found = table.column("said").to_numpy(zero_copy_only=False)
    np.testing.assert_array_equal(np.array(found, float), values)
    more = np.array(table.column("more").to_numpy(zero_copy_only=False), float)
    np.testing.assert_array_equal(more, values / 2 + ages)


@pytest.mark.parametrize("cases", CASES)
def test_answers_are_those_of_a_loop_over_what_was_captured(
    quarters: tuple[og.Workspace, Captured], cases: int
) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")

    @seed(number)
    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def agree(data: st.DataObject) -> None:
        asked = Asked(*quarters, data)
        with answering(*data.draw(st.sampled_from(WAYS))):
            data.draw(st.sampled_from([highest, nearest, condition, grouped, columns]))(asked)

    agree()
