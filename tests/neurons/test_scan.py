"""The engine's answers are those of a full scan in float64, whatever is stored, asked, filtered or missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import SystemRandom

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from odin_graph.neurons import (
    Answer,
    Measure,
    aggregate,
    bounds,
    compare,
    compare_estimate,
    distance,
    highest,
    highest_estimate,
    nearest,
    nearest_estimate,
    sketch_bounds,
    values,
)
from odin_graph.neurons.block import Block
from odin_graph.neurons.compare import OPS
from odin_graph.neurons.filtering import FilteredPart
from odin_graph.neurons.sketch_bounds import SketchBounds

from .coder import Captured, aggregated, away, in_order
from .worlds import AGGREGATES, METRICS, World, worlds

CASES = [100, pytest.param(1_500, marks=pytest.mark.soak)]


@pytest.fixture(autouse=True, params=["sketched", "tables"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks too are sketched, in small chunks, or never."""
    if request.param == "sketched":
        for name, value in {"_CHUNK": 64, "_FEW": 0, "_ALONE": 256, "_DEEP": 4, "_WIDE": 1}.items():
            monkeypatch.setattr(sketch_bounds, name, value)


def repeatedly(cases: int, check: Callable[..., None], **given_: st.SearchStrategy[object]) -> None:
    """Run a check on random cases, with a seed that is printed."""
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")
    how = settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    seed(number)(how(given(world=worlds(), **given_)(check)))()


@pytest.mark.parametrize("cases", CASES)
def test_highest_is_what_a_full_scan_finds(cases: int) -> None:
    def check(world: World, name: str, k: int, largest: bool, threads: int) -> None:
        weights = world.weights(negative=True) if name == "weighted" else None
        at = world.passing
        expected = aggregated(name, world.values[at], weights)
        order = in_order(world.keys[at], expected, k, largest=largest)
        exact = Captured(world.keys, world.values)
        measure = aggregate(name, weights)
        found = highest(world.parts, measure, k, largest=largest, among=world.among, exact=exact, threads=threads)
        np.testing.assert_array_equal(found.keys, world.keys[at][order])
        np.testing.assert_array_equal(found.values, expected[order])
        np.testing.assert_array_equal(found.uncovered, world.uncovered)
        assert not found.tied.any()
        assert found.verified == exact.asked <= found.work.candidates <= found.work.scanned == len(at)
        assert found.verified <= needed(world, measure, found, largest) + 7 * found.work.rounds + found.verified // 8
        rough = highest_estimate(world.parts, measure, k, largest=largest, among=world.among)
        assert len(rough.keys) == len(order)
        assert set(rough.keys[rough.certain]) <= set(found.keys)
        _hold(expected[np.searchsorted(world.keys[at], rough.keys)], rough.low, rough.high)

    repeatedly(
        cases,
        check,
        name=st.sampled_from(AGGREGATES),
        k=st.sampled_from([1, 2, 5, 20, 1000]),
        largest=st.booleans(),
        threads=st.integers(1, 2),
    )


def needed(world: World, measure: Measure, found: Answer, largest: bool) -> int:
    """How many images may be in the answer for all that codes say, once it is known where it ends."""
    _, low, high = bounds(world.parts, measure, among=world.among)
    open_ = (low != high) & ~np.isnan(low)
    last = found.values[-1] if len(found.values) and not np.isnan(found.values[-1]) else -np.inf if largest else np.inf
    return int((open_ & (high >= last if largest else low <= last)).sum())


@pytest.mark.parametrize("cases", CASES)
def test_nearest_is_what_a_full_scan_finds(cases: int) -> None:
    def check(world: World, metric: str, k: int, weighted: bool, stored: bool) -> None:
        weights = world.weights(negative=False) if weighted else None
        asked = int(world.draw.integers(len(world.keys)))
        query = world.values[asked] if stored else world.draw.standard_normal(world.units).astype(np.float32)
        query = np.where(np.isfinite(query), query, 0).astype(np.float32)
        exclude = world.keys[asked : asked + 1] if stored else None
        at = world.passing
        at = at[at != asked] if stored else at
        expected = away(metric, world.values[at], query, weights)
        order = in_order(world.keys[at], expected, k, largest=False)
        order = order[~np.isnan(expected[order])]
        exact = Captured(world.keys, world.values)
        how = {"weights": weights, "among": world.among, "exclude": exclude}
        found = nearest(world.parts, query, metric, k, exact=exact, **how)
        np.testing.assert_array_equal(found.keys, world.keys[at][order])
        np.testing.assert_array_equal(found.values, expected[order])
        assert found.verified == exact.asked
        rough = nearest_estimate(world.parts, query, metric, k, **how)
        assert set(rough.keys[rough.certain]) <= set(found.keys)
        _hold(expected[np.searchsorted(world.keys[at], rough.keys)], rough.low, rough.high)

    repeatedly(
        cases,
        check,
        metric=st.sampled_from(METRICS),
        k=st.sampled_from([1, 2, 5, 20, 1000]),
        weighted=st.booleans(),
        stored=st.booleans(),
    )


@pytest.mark.parametrize("cases", CASES)
def test_conditions_are_what_a_full_scan_finds(cases: int) -> None:
    def check(world: World, name: str, op: str, where: str) -> None:
        at = world.passing
        if name in AGGREGATES:
            weights = world.weights(negative=True) if name == "weighted" else None
            measure, expected = aggregate(name, weights), aggregated(name, world.values[at], weights)
        else:
            query = world.draw.standard_normal(world.units).astype(np.float32)
            measure, expected = distance(name[3:], query), away(name[3:], world.values[at], query)
        threshold = {"inf": np.inf, "-inf": -np.inf, "zero": 0.0}.get(where, 0.0)
        some = expected[~np.isnan(expected)]
        if where == "a value" and len(some):
            threshold = float(world.draw.choice(some))
        exact = Captured(world.keys, world.values)
        found = compare(world.parts, measure, op, threshold, among=world.among, exact=exact)  # type: ignore[arg-type]
        keys, missing = world.keys[at], np.isnan(expected)
        holds = {
            "<": expected < threshold,
            "<=": expected <= threshold,
            "==": expected == threshold,
            "!=": (expected != threshold) & ~missing,
            ">=": expected >= threshold,
            ">": expected > threshold,
        }[op]
        np.testing.assert_array_equal(found.true, keys[holds])
        np.testing.assert_array_equal(found.false, keys[~holds & ~missing])
        np.testing.assert_array_equal(found.missing, keys[missing])
        np.testing.assert_array_equal(found.uncovered, world.uncovered)
        assert not len(found.tied)
        rough = compare_estimate(world.parts, measure, op, threshold, among=world.among)  # type: ignore[arg-type]
        assert set(rough.true) <= set(found.true)
        assert set(rough.false) <= set(found.false)
        assert set(rough.missing) <= set(found.missing)
        every = np.concatenate([rough.true, rough.false, rough.missing, rough.undecided])
        np.testing.assert_array_equal(np.sort(every), keys)
        assert len(rough.undecided) == exact.asked

    repeatedly(
        cases,
        check,
        name=st.sampled_from([*AGGREGATES, "to l1", "to l2", "to cosine"]),
        op=st.sampled_from(OPS),
        where=st.sampled_from(["a value", "a value", "zero", "inf", "-inf"]),
    )


@pytest.mark.parametrize("cases", CASES)
def test_bounds_hold_every_value(cases: int) -> None:
    def check(world: World, name: str) -> None:
        if name in AGGREGATES:
            weights = world.weights(negative=True) if name == "weighted" else None
            measure, expected = aggregate(name, weights), aggregated(name, world.values, weights)
        else:
            query = world.draw.choice([0.0, 1.0, -30.0, 1e-40], world.units).astype(np.float32)
            weights = world.weights(negative=False)
            measure, expected = distance(name[3:], query, weights), away(name[3:], world.values, query, weights)
        keys, low, high = bounds(world.parts, measure)
        _hold(expected[np.searchsorted(world.keys, keys)], low, high)
        at = world.passing
        every = values(world.parts, measure, among=world.among, exact=Captured(world.keys, world.values))
        np.testing.assert_array_equal(every.keys, world.keys[at])
        np.testing.assert_array_equal(every.values, expected[at])
        np.testing.assert_array_equal(every.uncovered, world.uncovered)

    repeatedly(cases, check, name=st.sampled_from([*AGGREGATES, *(f"to {metric}" for metric in METRICS)]))


@pytest.mark.parametrize("cases", CASES)
def test_sketches_hold_every_value(cases: int) -> None:
    def check(world: World, name: str, weighted: bool) -> None:
        for part in world.parts:
            if not isinstance(part, Block) or part.fit is None:
                continue
            measure, expected = measured(world, name, part, weighted)
            sketch = measure.sketch(part.fit)
            if sketch is None:
                continue
            rough = SketchBounds(FilteredPart(part, None), sketch, 1)
            known = np.setdiff1d(np.arange(len(part.keys)), rough._open)
            low = sketch.scale * rough._least.astype(np.float64) + sketch.offset - sketch.margin
            high = sketch.scale * rough._most.astype(np.float64) + sketch.offset + sketch.margin
            _hold(expected[known], low[known], high[known])

    names = [*AGGREGATES, *(f"to {metric}" for metric in METRICS)]
    repeatedly(cases, check, name=st.sampled_from(names), weighted=st.booleans())


def measured(world: World, name: str, part: Block, weighted: bool) -> tuple[Measure, np.ndarray]:
    """A measure, and what it gives for the images of a part."""
    held = world.values[np.searchsorted(world.keys, part.keys)]
    if name in AGGREGATES:
        weights = world.weights(negative=True) if name == "weighted" else None
        return aggregate(name, weights), aggregated(name, held, weights)
    weights = world.weights(negative=False) if weighted else None
    query = world.values[world.draw.integers(len(world.keys))]
    query = np.where(np.isfinite(query), query, 2).astype(np.float32)
    return distance(name[3:], query, weights), away(name[3:], held, query, weights)


@pytest.mark.parametrize("cases", CASES)
def test_what_rests_on_noise_is_tied(cases: int) -> None:
    """An image that is not tied has the place that it would have by the captured values."""

    def check(world: World, name: str, k: int, largest: bool, size: float) -> None:
        shift = world.draw.uniform(-size, size, world.values.shape) * (world.draw.random(world.units) < 0.8)
        again = Captured(world.keys, world.values, shift)
        with np.errstate(invalid="ignore"):
            off = np.abs(again.values.astype(np.float64) - world.values.astype(np.float64))
        noise = np.where(np.isfinite(off), off, 0).max(axis=0)
        at = world.passing
        if name in AGGREGATES:
            weights = world.weights(negative=True) if name == "weighted" else None
            measure, expected = aggregate(name, weights), aggregated(name, world.values[at], weights)
            found = highest(world.parts, measure, k, largest=largest, among=world.among, exact=again, noise=noise)
            order = in_order(world.keys[at], expected, k, largest=largest)
        else:
            query = world.draw.standard_normal(world.units).astype(np.float32)
            measure, expected = distance(name[3:], query), away(name[3:], world.values[at], query)
            found = nearest(world.parts, query, name[3:], k, among=world.among, exact=again, noise=noise)
            order = in_order(world.keys[at], expected, k, largest=False)
            order = order[~np.isnan(expected[order])]
        places = np.flatnonzero(~found.tied)
        np.testing.assert_array_equal(found.keys[places], world.keys[at][order[places]])
        assert found.work.beyond == 0
        threshold = float(expected[0]) if len(expected) and not np.isnan(expected[0]) else 0.0
        said = compare(world.parts, measure, ">", threshold, among=world.among, exact=again, noise=noise)
        with np.errstate(invalid="ignore"):
            truly = world.keys[at][expected > threshold]
        assert set(said.true) ^ set(truly) <= set(said.tied)

    names = [*AGGREGATES, *(f"to {metric}" for metric in METRICS)]
    repeatedly(
        cases,
        check,
        name=st.sampled_from(names),
        k=st.sampled_from([1, 2, 5, 20, 1000]),
        largest=st.booleans(),
        size=st.sampled_from([1e-6, 0.01, 1.0]),
    )


def _hold(real: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    missing, anything = np.isnan(real), (low == -np.inf) & (high == np.inf)
    assert (np.isnan(low) | anything)[missing].all()
    assert ((low <= real) & (real <= high))[~missing].all()
