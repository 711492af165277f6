"""Kept lists say what sorting all values says, and say so where they do not know."""

from __future__ import annotations

import os
from random import SystemRandom

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from odin_graph.errors import ConflictError, QueryError, StoreError
from odin_graph.neurons import toplists
from odin_graph.neurons.toplists import TopLists

from .coder import in_order
from .worlds import World, worlds

CASES = [100, pytest.param(1_000, marks=pytest.mark.soak)]


@pytest.mark.parametrize("cases", CASES)
def test_lists_agree_with_sorting(cases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toplists, "_DEEP", 3)
    monkeypatch.setattr(toplists, "_WIDE", 1)
    number = int(os.environ.get("ODIN_SEED") or SystemRandom().randrange(2**32))
    print(f"ODIN_SEED={number} repeats these cases")

    @seed(number)
    @settings(max_examples=cases, database=None, suppress_health_check=list(HealthCheck))
    @given(world=worlds(), kept=st.sampled_from([1, 3, 20, 1000]), k=st.integers(1, 30), largest=st.booleans())
    def agree(world: World, kept: int, k: int, largest: bool) -> None:
        owner = world.draw.integers(0, 3, len(world.keys))
        segments = [
            TopLists.build(world.keys[at], (world.values[at].T[:2], world.values[at].T[2:]), kept)
            for at in (owner == part for part in range(3))
        ]
        lists = TopLists.of_arrays(TopLists.merged(segments, kept).arrays())
        unit = int(world.draw.integers(world.units))
        values = world.values[world.passing, unit].astype(np.float64)
        order = in_order(world.keys[world.passing], values, k, largest=largest)
        order = order[~np.isnan(values[order])]
        found = lists.first(unit, k, largest=largest, among=world.among)
        if found is None:
            assert kept < len(world.keys)
            assert world.among is not None or kept < k
            return
        np.testing.assert_array_equal(found[0], world.keys[world.passing][order])
        np.testing.assert_array_equal(found[1], values[order])

    agree()


def test_what_lists_refuse() -> None:
    lists = TopLists.build(np.arange(5), [np.ones((2, 5), np.float32)], 3)
    assert lists.first(1, 4) is None
    with pytest.raises(QueryError, match="There is no unit 2: they are numbered 0 to 1"):
        lists.first(2, 1)
    with pytest.raises(QueryError, match="at least 1, not 0"):
        lists.first(0, 0)
    with pytest.raises(StoreError, match="lack bottom_keys, bottom_values, present"):
        TopLists.of_arrays({"top_keys": lists.top_keys, "top_values": lists.top_values})
    with pytest.raises(ConflictError):
        TopLists.merged([lists, TopLists.build(np.arange(5, 9), [np.ones((1, 4), np.float32)], 3)])
