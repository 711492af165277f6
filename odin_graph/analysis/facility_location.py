"""Facility location: the few images that together are most like all the others.

The sum over all images of the similarity to the nearest chosen one is monotone and submodular, so the greedy choice
reaches at least 1 - 1/e of the best (Nemhauser, Wolsey, Fisher 1978). The usual speed-up looks lazily at old gains
(Minoux 1978) or at a random part of the candidates (Mirzasoleiman et al. 2015). Here every gain is kept exact instead,
by what a choice changed: the first moves all n images, the j-th about n/j of them, so k choices cost about ln k
products of all with all, also where no image is much better than another and lazy bounds prune nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError

_DIGITS: Final = 8
"""Gains that agree so far are a tie, which goes to the earlier image: sums differ in their last digits by machine."""
_BLOCK: Final = 4_000_000
"""Similarities held at once: 32 MB."""


def facility_location(
    vectors: NDArray[np.float32],
    k: int,
    *,
    seed: int,  # noqa: ARG001 - greedy draws nothing; other selection methods do
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose at most ``k`` of n vectors by facility location with cosine similarity, scaled to 0 .. 1.

    Fewer are chosen where those already stand for all the others perfectly: of equal vectors one is enough.

    Args:
        vectors: (n, d), n >= 1. Takes O(n d) memory; 20,000 x 512 and k=20 about a minute on two cores.
        k: How many.
        seed: Not used: the choice is deterministic.

    Returns:
        Positions in order of choice, and how many of the n each stands for, itself included: those that are more
        like it than like any other chosen one.

    Raises:
        DataError: A vector is not finite.
    """
    unit = _unit(vectors)
    n = len(unit)
    nearest = np.zeros(n)
    owner = np.zeros(n, np.int64)
    # With nothing chosen a candidate's gain is its similarity to all: one product with the sum, not n.
    gains = (n + unit @ unit.sum(axis=0)) / 2
    chosen: list[int] = []
    while len(chosen) < min(k, n):
        rounded = np.round(gains, _DIGITS)
        position = int(rounded.argmax())  # the first of equals
        if chosen and rounded[position] <= 0:
            break  # every image is already as near to a chosen one as it can be
        similar = (1 + unit @ unit[position]) / 2
        closer = np.flatnonzero(similar > nearest)
        _lower(gains, unit, closer, nearest[closer], similar[closer])
        nearest[closer] = similar[closer]
        owner[closer] = len(chosen)
        owner[position] = len(chosen)
        chosen.append(position)
    return np.array(chosen, np.int64), np.bincount(owner, minlength=len(chosen)).astype(np.int64)


def _lower(
    gains: NDArray[np.float64],
    unit: NDArray[np.float64],
    changed: NDArray[np.int64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> None:
    """Take from every candidate's gain what it loses as images found a nearer one.

    An image that is s like a candidate gave it max(s - before, 0) and gives it max(s - after, 0) now: the difference
    is how far s lies into (before, after).
    """
    rows = max(1, _BLOCK // len(unit))
    for start in range(0, len(changed), rows):
        part = slice(start, start + rows)
        similar = unit[changed[part]] @ unit.T
        similar += 1
        similar /= 2
        np.clip(similar, before[part, None], after[part, None], out=similar)
        gains -= similar.sum(axis=0) - before[part].sum()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide: NDArray[Any] = vectors.astype(np.float64)
    bad = ~np.isfinite(wide).all(axis=1)
    if bad.any():
        raise DataError(
            f"The vectors of {int(bad.sum())} of {len(wide)} images are not finite, the first at position "
            f"{int(bad.argmax())}: look at the weights (did the training diverge?), or take another layer."
        )
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths == 0, 1, lengths)
