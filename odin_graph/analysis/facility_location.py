"""Facility location: the few images that together are most like all the others.

The sum over all images of the similarity to the nearest chosen one is monotone and submodular, so the greedy choice
reaches at least 1 - 1/e of the best (Nemhauser, Wolsey, Fisher 1978). Every gain is kept by what a choice changed: the
first moves all images, the j-th about one in j of them. Of many images the gains are those of a sample of them, since
they are averages, and the candidates of the highest are weighed again over all images, exactly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import DataError
from odin_graph.vectors.metric import with_directions

_DIGITS: Final = 8
"""Gains that agree so far are a tie, which goes to the earlier image: sums differ in their last digits by machine."""
_BLOCK: Final = 4_000_000
"""Similarities in memory at once: 32 MB."""
_SAMPLE: Final = 4_096
"""Up to so many images, all count towards a gain; of more, a sample does."""
_EACH: Final = 128
"""Images of the sample for each choice, at least."""
_COARSE: Final = 3
"""The same for more images, whose gains are sums of float32."""
_WEIGHED: Final = 32
"""Candidates that are weighed over all images."""


def facility_location(
    vectors: NDArray[np.float32], k: int, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose at most ``k`` of n vectors by facility location with cosine similarity, scaled to 0 .. 1.

    Fewer are chosen where those already stand for all the others perfectly: of equal vectors one is enough.

    Args:
        vectors: (n, d), n >= 1. Takes O(n d) memory.
        k: How many.
        seed: Draws the sample, of more than 4,096 vectors; the choice is the same for the same seed.

    Returns:
        Positions in order of choice, and how many of the n each stands for, itself included: those that are more
        like it than like any other chosen one.

    Raises:
        DataError: A vector is not finite.
    """
    n = len(vectors)
    size = min(n, max(_SAMPLE, _EACH * k))
    unit = _unit(vectors, np.float64 if size == n else np.float32)
    sample = np.arange(n) if size == n else np.sort(np.random.default_rng(seed).choice(n, size, replace=False))
    nearest = np.zeros(n)
    owner = np.zeros(n, np.int64)
    # With nothing chosen a candidate's gain is its similarity to all: one product with the sum, not n.
    gains = (size + (unit @ unit[sample].sum(axis=0, dtype=np.float64).astype(unit.dtype)).astype(np.float64)) / 2
    chosen: list[int] = []
    while len(chosen) < min(k, n):
        check()
        candidates, exact = np.arange(n), gains
        if size < n:
            candidates = np.sort(np.argpartition(gains, max(0, n - _WEIGHED))[max(0, n - _WEIGHED) :])
            exact = _weighed(unit, candidates, nearest)
        rounded = np.round(exact, _DIGITS if size == n else _COARSE)
        best = int(rounded.argmax())  # the first of equals
        position = int(candidates[best])
        if chosen and rounded[best] <= 0:
            break  # every image is already as near to a chosen one as it can be
        similar = (1 + (unit @ unit[position]).astype(np.float64)) / 2
        similar[position] = 1.0
        closer = similar > nearest
        moved = sample[closer[sample]]
        _lower(gains, unit, moved, nearest[moved], similar[moved])
        nearest[closer] = similar[closer]
        owner[closer] = len(chosen)
        owner[position] = len(chosen)
        chosen.append(position)
    return np.array(chosen, np.int64), np.bincount(owner, minlength=len(chosen)).astype(np.int64)


def _weighed(unit: NDArray[Any], candidates: NDArray[np.int64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain of each candidate over all images."""
    gains = np.zeros(len(candidates))
    rows = max(1, _BLOCK // len(candidates))
    for start in range(0, len(unit), rows):
        similar = ((unit[start : start + rows] @ unit[candidates].T).astype(np.float64) + 1) / 2
        gains += np.maximum(similar - nearest[start : start + rows, None], 0).sum(axis=0)
    return gains


def _lower(
    gains: NDArray[np.float64],
    unit: NDArray[Any],
    changed: NDArray[np.int64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> None:
    """Take from every candidate's gain what it loses as images found a nearer one.

    An image that is s like a candidate gave it max(s - before, 0) and gives it max(s - after, 0) now: the difference
    is how far s lies into (before, after).
    """
    rows = max(1, _BLOCK // len(unit))
    before, after = before.astype(unit.dtype), after.astype(unit.dtype)
    for start in range(0, len(changed), rows):
        part = slice(start, start + rows)
        similar = unit[changed[part]] @ unit.T
        similar += 1
        similar /= 2
        np.clip(similar, before[part, None], after[part, None], out=similar)
        similar -= before[part, None]
        gains -= similar.sum(axis=0)


def _unit(vectors: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise DataError(
            f"The vectors of {int(bad.sum())} of {len(vectors)} images are not finite, the first at position "
            f"{int(bad.argmax())}: look at the weights (did the training diverge?), or take another layer."
        )
    return with_directions(vectors, dtype=dtype)[0]
