"""How representatives are split over the confused pairs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.query.plan.shares import shares


@pytest.mark.parametrize(
    ("sizes", "k", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([100, 1, 1], 2, [1, 1, 0]),  # the largest pairs one each, ties to the first
        ([1000, 2, 1], 10, [8, 1, 1]),
        ([3, 2], 10, [3, 2]),  # no pair gets more than it has
        ([7, 7, 7], 4, [2, 1, 1]),
        ([4], 0, [0]),
        ([], 3, []),
    ],
)
def test_shares(sizes: list[int], k: int, expected: list[int]) -> None:
    assert shares(sizes, k) == expected


@given(sizes=st.lists(st.integers(1, 50), max_size=12), k=st.integers(0, 200))
def test_every_place_is_given_once(sizes: list[int], k: int) -> None:
    given_ = shares(sizes, k)
    assert sum(given_) == min(k, sum(sizes))
    assert all(0 <= share <= size for share, size in zip(given_, sizes, strict=True))
    ranked = sorted(zip(sizes, given_, strict=True), key=lambda pair: -pair[0])
    assert all(a[1] >= b[1] for a, b in pairwise(ranked) if a[0] > b[0])  # larger is never less
    if k >= len(sizes):
        assert all(given_)
