"""The peer of the benchmarks answers rightly too, and its index is as large as it says."""

from __future__ import annotations

import os
from random import SystemRandom

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from benchmarks.nta import Index, fire_max, sim_top
from odin_graph.neurons import aggregate

from .coder import aggregated, away

CASES = [60, pytest.param(600, marks=pytest.mark.soak)]


@pytest.mark.parametrize("cases", CASES)
def test_nta_agrees_with_a_full_scan(cases: int) -> None:
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")

    @seed(number)
    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(
        draw=st.integers(0, 2**32 - 1).map(np.random.default_rng),
        images=st.integers(1, 600),
        partitions=st.sampled_from([2, 4, 16]),
        ratio=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        k=st.sampled_from([1, 5, 20]),
        batch=st.sampled_from([1, 7, 64]),
        name=st.sampled_from(["sum", "mean", "max", "min", "l2"]),
        metric=st.sampled_from(["l1", "l2", "linf"]),
        step=st.sampled_from([0.0, 0.5]),
    )
    def agree(
        draw: np.random.Generator,
        images: int,
        partitions: int,
        ratio: float,
        k: int,
        batch: int,
        name: str,
        metric: str,
        step: float,
    ) -> None:
        values = np.maximum(draw.standard_normal((8, images)), 0).astype(np.float32)
        if step:
            values = np.round(values / np.float32(step)) * np.float32(step)
        index = Index.build(values, partitions, ratio)
        units = draw.choice(8, int(draw.integers(1, 6)), replace=False)
        group = np.ascontiguousarray(values[units].T)
        ran: list[int] = []

        def run(at: np.ndarray) -> np.ndarray:
            ran.extend(at.tolist())
            return group[at]

        found = fire_max(index, units, aggregate(name), k, run, batch)
        np.testing.assert_array_equal(found.values, -np.sort(-aggregated(name, group))[:k])
        np.testing.assert_array_equal(aggregated(name, group[found.positions]), found.values)
        assert found.inferred == len(ran) == len(set(ran))
        asked = int(draw.integers(images))
        ran.clear()
        near = sim_top(index, units, group[asked], metric, k, run, exclude=asked, batch=batch)
        others = np.delete(np.arange(images), asked)
        np.testing.assert_array_equal(near.values, np.sort(away(metric, group[others], group[asked]))[:k])
        assert asked not in near.positions
        assert near.inferred == len(ran) == len(set(ran))

    agree()


def test_an_index_fits_its_size() -> None:
    values = np.random.default_rng(0).random((10, 20_000)).astype(np.float32)
    for share in (0.05, 0.1, 0.2, 0.5):
        index = Index.of_size(values, round(share * values.nbytes))
        assert 0.9 * share <= index.bytes / values.nbytes <= share * 1.001
    assert (np.diff(index.top_values, axis=1) <= 0).all()
    for unit in range(10):
        held = values[unit]
        at = index.partition[unit]
        assert (index.low[unit][at] <= held).all()
        assert (held <= index.high[unit][at]).all()
        assert np.bincount(at)[1:].min() > 32
