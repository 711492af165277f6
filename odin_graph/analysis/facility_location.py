"""Facility location: the few images that together are most like all the others.

The sum over all images of the similarity to the nearest chosen one is monotone and submodular, so the greedy choice
reaches at least 1 - 1/e of the best (Nemhauser, Wolsey, Fisher 1978). Lazy evaluation (Minoux 1978) looks again only
at candidates whose old gain, an upper bound, is still the largest.
"""

from __future__ import annotations

import heapq
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_DIGITS: Final = 9
"""Gains that agree so far are a tie, which goes to the earlier image: sums differ in their last digits by machine."""


def facility_location(
    vectors: NDArray[np.float32],
    k: int,
    *,
    seed: int,  # noqa: ARG001 - greedy draws nothing; other selection methods do
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose at most ``k`` of n vectors by facility location with cosine similarity, scaled to 0 .. 1.

    Args:
        vectors: (n, d), n >= 1. Takes O(n d) memory: similarities are computed a column at a time.
        k: How many.
        seed: Not used: the choice is deterministic.

    Returns:
        Positions in order of choice, and how many of the n each stands for, itself included.
    """
    unit = _unit(vectors)
    n = len(unit)
    nearest = np.zeros(n)
    owner = np.zeros(n, np.int64)
    # With nothing chosen a candidate's gain is its similarity to all: one product with the sum, not n.
    first = (n + unit @ unit.sum(axis=0)) / 2
    heap = [(-round(float(gain), _DIGITS), position, 0) for position, gain in enumerate(first)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < k:
        gain, position, seen = heapq.heappop(heap)
        if seen < len(chosen):  # an old bound: look again
            fresh = np.maximum(_similar(unit, position) - nearest, 0).sum()
            heapq.heappush(heap, (-round(float(fresh), _DIGITS), position, len(chosen)))
            continue
        if gain == 0 and chosen:
            break  # every image is already as near to a chosen one as it can be
        similar = _similar(unit, position)
        closer = similar > nearest
        owner[closer] = len(chosen)
        nearest = np.maximum(nearest, similar)
        owner[position] = len(chosen)
        chosen.append(position)
    return np.array(chosen, np.int64), np.bincount(owner, minlength=len(chosen)).astype(np.int64)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide: NDArray[Any] = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths == 0, 1, lengths)


def _similar(unit: NDArray[np.float64], position: int) -> NDArray[np.float64]:
    similar: NDArray[np.float64] = (1 + unit @ unit[position]) / 2
    return similar
