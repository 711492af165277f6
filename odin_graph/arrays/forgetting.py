"""Units without images that are purged: also their scales say nothing of these any more.

The ends of a unit's codes are its least and its largest value. Where an image that goes may have said one of them, the
codes that are left get ends of their own: multiples of a power of two that is at least a step wide, around the
intervals that are left. An old interval lies across new steps, so that new ones overlap by as much. What remains is
sound, and two to three times as wide; of the value that went it says no more than how wide a step was, up to a factor
of two.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import codes, halves
from odin_graph.arrays.units import SLACK, Slab

_ROWS: Final = 2048
"""Units that are coded again at once: a table of each takes 2 KiB."""

Codes = NDArray[np.uint8]
Scales = NDArray[np.float64]


def forgetting(slab: Slab, kept: NDArray[np.bool_]) -> Slab:
    """Units (units, n) of the images that are kept, with scales that are of these alone.

    Args:
        slab: As it is stored.
        kept: (n,) which images; at least one.
    """
    left, scales = np.ascontiguousarray(slab.values[:, kept]), slab.scales.copy()
    if left.dtype == np.uint8:
        return _recoded(left, slab.values[:, ~kept], scales)
    if left.dtype == np.float16:
        left, scales[:, : codes.SCALES], coarse = halves.repack(left, scales)
        scales[:, SLACK] = np.maximum(scales[:, SLACK], coarse)
    else:
        scales[:, : codes.SCALES] = codes.scales(left)
    return Slab(left, scales)


def _recoded(left: Codes, gone: Codes, scales: Scales) -> Slab:
    _count_again(left, gone, scales)
    every = np.flatnonzero(_may_tell(left, gone, scales))
    for start in range(0, len(every), _ROWS):
        rows = every[start : start + _ROWS]
        there = np.stack([np.bincount(left[row], minlength=codes.NOT_FINITE + 1) > 0 for row in rows])
        scales[rows], new = _again(scales[rows], there[:, : codes.NOT_FINITE])
        for row, table in zip(rows, new, strict=True):
            left[row] = table[left[row]]
    return Slab(left, scales)


def _may_tell(left: Codes, gone: Codes, scales: Scales) -> NDArray[np.bool_]:
    """Of which units an end may be what only images that go have said."""
    low, high = scales[:, 0], scales[:, 1]
    nothing = (left == codes.NOT_FINITE).all(axis=1)
    # Zero is exact of a unit that begins with it: whoever is left with its code has said it, too.
    lowest = (gone == 0).any(axis=1) & ~((low == 0) & (left == 0).any(axis=1))
    highest = (gone == codes.NOT_FINITE - 1).any(axis=1)
    found: NDArray[np.bool_] = nothing | ((low != high) & (lowest | highest))
    return found


def _count_again(left: Codes, gone: Codes, scales: Scales) -> None:
    """NaN and infinities; of a unit that has both, a code does not say which it is, and NaN are counted first."""
    rows = np.flatnonzero((gone == codes.NOT_FINITE).any(axis=1))
    still = (left[rows] == codes.NOT_FINITE).sum(axis=1)
    scales[rows, 2] = np.minimum(scales[rows, 2], still)
    scales[rows, 3] = np.minimum(scales[rows, 3], still - scales[rows, 2])


def _again(old: Scales, there: NDArray[np.bool_]) -> tuple[Scales, Codes]:
    """New scales of units, and what their codes become (units, 256).

    Args:
        old: Their scales.
        there: (units, 255) which of their codes are left.
    """
    low, high = (table[:, : codes.NOT_FINITE] for table in codes.tables(old, old[:, SLACK]))
    some = there.any(axis=1)
    least = np.where(some, np.where(there, low, np.inf).min(axis=1), 0.0)
    most = np.where(some, np.where(there, high, -np.inf).max(axis=1), 0.0)
    width = np.where(there, high - low, 0.0).max(axis=1)
    grain = np.where(width > 0, np.exp2(np.ceil(np.log2(np.where(width > 0, width, 1.0)))), 0.0)
    coarse = np.where(grain > 0, grain, 1.0)
    new = old.copy()
    new[:, 0] = np.where(grain > 0, np.floor(least / coarse) * coarse, least) + 0.0
    new[:, 1] = np.where(grain > 0, np.ceil(most / coarse) * coarse, most) + 0.0
    first = new[:, 0] == 0
    step = (new[:, 1] - new[:, 0]) / np.where(first, codes.CEIL, codes.LINEAR)
    wide = np.where(step > 0, step, 1.0)[:, None]
    new[:, SLACK] = np.where(step > 0, grain / (2 * wide[:, 0]), 0.0)
    place = ((low + high) / 2 - new[:, :1]) / wide
    place = np.where(first[:, None], np.where(high > 0, np.maximum(np.ceil(place), 1), 0), np.floor(place))
    table = np.full((len(old), codes.NOT_FINITE + 1), codes.NOT_FINITE, np.uint8)
    into = np.where(step[:, None] > 0, np.clip(place, 0, codes.NOT_FINITE - 1), 0).astype(np.uint8)
    # Values may be so far from zero that float64 does not tell steps apart: what does not fit is left open.
    at_least, at_most = codes.tables(new, new[:, SLACK])
    fits = (np.take_along_axis(at_least, into, 1) <= low) & (high <= np.take_along_axis(at_most, into, 1))
    table[:, : codes.NOT_FINITE] = np.where(fits, into, codes.NOT_FINITE)
    return new, table
