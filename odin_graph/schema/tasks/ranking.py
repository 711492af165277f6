"""How well probabilities rank the images of each class before all others: exact, of thousands of classes as well."""

from __future__ import annotations

from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FEW: Final = 16
"""Images of a class that are compared with all others faster than all are sorted."""
_BLOCK_BYTES: Final = 16 << 20
"""Bytes of the probabilities that are compared together."""


def rank_classes(
    rows: NDArray[np.int64], classes: NDArray[np.int64], probabilities: NDArray[np.float32], number: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and average precision of each class against the others; NaN where it has no image, or all have it.

    AUROC is the share of pairs (an image of the class, another) whose first has the higher probability, ties counting
    half. Average precision is the mean over the images of a class of the precision among all that are as probable.

    Args:
        rows: (m,) of images that a class is true of.
        classes: (m,) the class of each, as a column of the probabilities.
        probabilities: (images, columns).
        number: Classes of the answer; those without a column are NaN.
    """
    n, columns = probabilities.shape
    auroc, average = np.full(number, nan), np.full(number, nan)
    order = np.argsort(classes, kind="stable")
    rows, classes = rows[order], classes[order]
    counts = np.bincount(classes[classes < columns], minlength=columns)[:columns]
    ends = np.cumsum(counts)
    rankable = np.flatnonzero((counts > 0) & (counts < n))
    wide = max(1, _BLOCK_BYTES // max(1, n * probabilities.itemsize))
    few = counts[rankable] <= _FEW
    for chosen in np.split(rankable[few], range(wide, int(few.sum()), wide)):
        if len(chosen):
            _compared(chosen, rows, ends, counts, probabilities, auroc, average)
    for c in rankable[~few].tolist():
        column = np.sort(probabilities[:, c])
        own = np.sort(probabilities[rows[ends[c] - counts[c] : ends[c]], c])
        below, upto = (np.searchsorted(column, own, side) for side in ("left", "right"))
        auroc[c], average[c] = _measures(own, below, upto, n)
    return auroc, average


def _compared(
    chosen: NDArray[np.int64],
    rows: NDArray[np.int64],
    ends: NDArray[np.int64],
    counts: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    auroc: NDArray[np.float64],
    average: NDArray[np.float64],
) -> None:
    """Classes of few images: each of these with all images at once."""
    block = np.ascontiguousarray(probabilities[:, chosen].T)
    place = np.repeat(np.arange(len(chosen)), counts[chosen])
    own_rows = np.concatenate([rows[ends[c] - counts[c] : ends[c]] for c in chosen.tolist()])
    own = block[place, own_rows]
    below = np.empty(len(own), np.int64)
    upto = np.empty(len(own), np.int64)
    for at in range(len(own)):
        column = block[place[at]]
        below[at], upto[at] = np.count_nonzero(column < own[at]), np.count_nonzero(column <= own[at])
    start = 0
    for c in chosen.tolist():
        part = slice(start, start + counts[c])
        order = np.argsort(own[part], kind="stable")
        auroc[c], average[c] = _measures(own[part][order], below[part][order], upto[part][order], len(probabilities))
        start += counts[c]


def _measures(
    own: NDArray[np.float32], below: NDArray[np.int64], upto: NDArray[np.int64], n: int
) -> tuple[float, float]:
    """AUROC and average precision of a class, by how many images are below, and up to, each of its own."""
    k = len(own)
    own_below, own_upto = np.searchsorted(own, own, "left"), np.searchsorted(own, own, "right")
    others_below = below - own_below
    others_equal = (upto - below) - (own_upto - own_below)
    pairs = float((others_below + 0.5 * others_equal).sum())
    return pairs / (k * (n - k)), float(((k - own_below) / (n - below)).mean())
