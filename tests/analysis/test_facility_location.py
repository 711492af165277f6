"""Facility location against every subset, and against the plainest greedy."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import cosine_similarity

from odin_graph.analysis.facility_location import facility_location
from odin_graph.errors import DataError

SMALL = st.tuples(st.integers(1, 7), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-3, 3).map(float))
)


def similar(vectors: NDArray[Any]) -> NDArray[Any]:
    zero = ~vectors.any(axis=1)
    cos = np.where(np.outer(zero, zero), 1.0, cosine_similarity(vectors.astype(np.float64)))
    return (1 + cos) / 2


def worth(near: NDArray[Any], chosen: Any) -> float:
    return float(near[:, list(chosen)].max(axis=1).sum())


@given(vectors=SMALL, k=st.integers(1, 7))
def test_at_least_the_share_of_the_best_that_greedy_promises(vectors: NDArray[np.float32], k: int) -> None:
    """1 - 1/e of the best subset of that size, which is found by trying all."""
    near = similar(vectors)
    positions, stands_for = facility_location(vectors, k, seed=0)
    best = max(worth(near, subset) for subset in combinations(range(len(vectors)), min(k, len(vectors))))
    assert worth(near, positions) >= (1 - 1 / np.e) * best - 1e-9
    assert len(positions) <= min(k, len(vectors))
    assert len(set(positions.tolist())) == len(positions)
    assert stands_for.sum() == len(vectors)
    assert (stands_for >= 1).all(), "each stands at least for itself"


def test_equals_the_plain_greedy_on_digits() -> None:
    """Gains kept exact by what changed are those of counting all anew."""
    vectors = load_digits().data[:300].astype(np.float32)
    near = similar(vectors)
    nearest, expected = np.zeros(len(vectors)), []
    for _ in range(25):
        gains = np.round(np.maximum(near - nearest[:, None], 0).sum(axis=0), 9)
        expected.append(int(np.argmax(gains)))
        nearest = np.maximum(nearest, near[:, expected[-1]])
    positions, stands_for = facility_location(vectors, 25, seed=0)
    assert positions.tolist() == expected
    owners = near[:, expected].argmax(axis=1)
    assert stands_for.tolist() == np.bincount(owners, minlength=25).tolist()


def test_the_same_vectors_give_the_same_choice_whatever_the_seed() -> None:
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    first = facility_location(vectors, 12, seed=0)
    for seed in (0, 1, 99):
        for one, two in zip(first, facility_location(vectors, 12, seed=seed), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("n", [1, 5])
def test_equal_images_need_one_representative(n: int) -> None:
    positions, stands_for = facility_location(np.ones((n, 4), np.float32), 3, seed=0)
    assert positions.tolist() == [0]
    assert stands_for.tolist() == [n]


def test_vectors_of_zeros_stand_for_each_other() -> None:
    positions, stands_for = facility_location(np.array([[0, 0], [1, 0], [2, 0], [0, 0], [3, 0]], np.float32), 3, seed=0)
    assert positions.tolist() == [1, 0]
    assert stands_for.tolist() == [3, 2]


@pytest.mark.parametrize("k", [1, 20, 60])
def test_gains_of_a_sample_choose_nearly_as_well_as_all(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    """Within half a per cent of the greedy choice by all gains, the same for a seed, and each image has its own."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(40, 24))
    vectors = (centers[draw.integers(40, size=3_000) ** 2 % 40] + draw.normal(scale=0.5, size=(3_000, 24))).astype(
        np.float32
    )
    near = similar(vectors)
    exact, _ = facility_location(vectors, k, seed=0)
    monkeypatch.setattr("odin_graph.analysis.facility_location._SAMPLE", 300)
    monkeypatch.setattr("odin_graph.analysis.facility_location._EACH", 4)
    for seed in (0, 1):
        positions, stands_for = facility_location(vectors, k, seed=seed)
        assert worth(near, positions) >= 0.995 * worth(near, exact)
        assert len(set(positions.tolist())) == k
        owners = np.bincount(near[:, positions].argmax(axis=1), minlength=k)
        assert np.abs(owners - stands_for).sum() <= 2, "float32 may decide a tie the other way"
        again = facility_location(vectors, k, seed=seed)
        assert again[0].tolist() == positions.tolist()


@given(vectors=SMALL, k=st.integers(2, 7), power=st.integers(-3, 5))
def test_a_first_choice_stands_whatever_follows_and_whatever_the_lengths(
    vectors: NDArray[np.float32], k: int, power: int
) -> None:
    few, _ = facility_location(vectors, k - 1, seed=0)
    more, _ = facility_location(vectors * np.float32(2.0**power), k, seed=0)
    assert more[: len(few)].tolist() == few.tolist()


def test_many_are_taken_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = load_digits().data[:400].astype(np.float32)
    whole = facility_location(vectors, 30, seed=0)
    monkeypatch.setattr("odin_graph.analysis.facility_location._BLOCK", 3 * len(vectors))
    for one, two in zip(whole, facility_location(vectors, 30, seed=0), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_not_finite_is_refused() -> None:
    vectors = np.ones((5, 2), np.float32)
    vectors[3, 1] = np.nan
    with pytest.raises(DataError, match=r"The vectors of 1 of 5 images are not finite, the first at position 3: look"):
        facility_location(vectors, 2, seed=0)
