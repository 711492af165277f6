"""Units without purged images: their scales no longer say anything about these either.

The ends of a unit's codes are its least and its largest value. Where a purged image may have had one of them, the
codes that remain get ends of their own: multiples of a power of two that is at least a step wide, around the
intervals that remain. An old interval crosses new steps, so new intervals overlap by as much. The result is sound,
and two to three times as wide; of the purged value it reveals only how wide a step was, up to a factor of two.
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
    """Units (units, n) of the images that are kept, with scales computed from these alone.

    Args:
        slab: As stored.
        kept: (n,) the images to keep; at least one.
    """
    remaining, scales = np.ascontiguousarray(slab.values[:, kept]), slab.scales.copy()
    if remaining.dtype == np.uint8:
        return _recoded(remaining, slab.values[:, ~kept], scales)
    if remaining.dtype == np.float16:
        remaining, scales[:, : codes.SCALES], coarse = halves.repack(remaining, scales)
        scales[:, SLACK] = np.maximum(scales[:, SLACK], coarse)
    else:
        scales[:, : codes.SCALES] = codes.scales(remaining)
    return Slab(remaining, scales)


def _recoded(remaining: Codes, purged: Codes, scales: Scales) -> Slab:
    _recount(remaining, purged, scales)
    changed = np.flatnonzero(_may_reveal(remaining, purged, scales))
    for start in range(0, len(changed), _ROWS):
        rows = changed[start : start + _ROWS]
        present = np.stack([np.bincount(remaining[row], minlength=codes.NOT_FINITE + 1) > 0 for row in rows])
        scales[rows], new = _rescaled(scales[rows], present[:, : codes.NOT_FINITE])
        for row, table in zip(rows, new, strict=True):
            remaining[row] = table[remaining[row]]
    return Slab(remaining, scales)


def _may_reveal(remaining: Codes, purged: Codes, scales: Scales) -> NDArray[np.bool_]:
    """Which units may have an end that only purged images had."""
    low, high = scales[:, 0], scales[:, 1]
    nothing = (remaining == codes.NOT_FINITE).all(axis=1)
    # The code of zero is exact in a unit that begins with zero: a remaining image with this code has that value, too.
    lowest = (purged == 0).any(axis=1) & ~((low == 0) & (remaining == 0).any(axis=1))
    highest = (purged == codes.NOT_FINITE - 1).any(axis=1)
    found: NDArray[np.bool_] = nothing | ((low != high) & (lowest | highest))
    return found


def _recount(remaining: Codes, purged: Codes, scales: Scales) -> None:
    """Count NaN and infinities again; of a unit with both, codes do not tell them apart, and NaN are counted first."""
    rows = np.flatnonzero((purged == codes.NOT_FINITE).any(axis=1))
    count = (remaining[rows] == codes.NOT_FINITE).sum(axis=1)
    scales[rows, 2] = np.minimum(scales[rows, 2], count)
    scales[rows, 3] = np.minimum(scales[rows, 3], count - scales[rows, 2])


def _rescaled(old: Scales, present: NDArray[np.bool_]) -> tuple[Scales, Codes]:
    """New scales of units, and the new code of each old one (units, 256).

    Args:
        old: Their scales.
        present: (units, 255) which of their codes remain.
    """
    low, high = (table[:, : codes.NOT_FINITE] for table in codes.tables(old, old[:, SLACK]))
    any_present = present.any(axis=1)
    least = np.where(any_present, np.where(present, low, np.inf).min(axis=1), 0.0)
    largest = np.where(any_present, np.where(present, high, -np.inf).max(axis=1), 0.0)
    width = np.where(present, high - low, 0.0).max(axis=1)
    grain = np.where(width > 0, np.exp2(np.ceil(np.log2(np.where(width > 0, width, 1.0)))), 0.0)
    coarse = np.where(grain > 0, grain, 1.0)
    new = old.copy()
    new[:, 0] = np.where(grain > 0, np.floor(least / coarse) * coarse, least) + 0.0
    new[:, 1] = np.where(grain > 0, np.ceil(largest / coarse) * coarse, largest) + 0.0
    from_zero = new[:, 0] == 0
    step = (new[:, 1] - new[:, 0]) / np.where(from_zero, codes.CEIL, codes.LINEAR)
    wide = np.where(step > 0, step, 1.0)[:, None]
    new[:, SLACK] = np.where(step > 0, grain / (2 * wide[:, 0]), 0.0)
    steps = ((low + high) / 2 - new[:, :1]) / wide
    steps = np.where(from_zero[:, None], np.where(high > 0, np.maximum(np.ceil(steps), 1), 0), np.floor(steps))
    table = np.full((len(old), codes.NOT_FINITE + 1), codes.NOT_FINITE, np.uint8)
    new_codes = np.where(step[:, None] > 0, np.clip(steps, 0, codes.NOT_FINITE - 1), 0).astype(np.uint8)
    # Values may be so far from zero that float64 cannot tell steps apart: what does not fit gets no interval.
    at_least, at_most = codes.tables(new, new[:, SLACK])
    fits = (np.take_along_axis(at_least, new_codes, 1) <= low) & (high <= np.take_along_axis(at_most, new_codes, 1))
    table[:, : codes.NOT_FINITE] = np.where(fits, new_codes, codes.NOT_FINITE)
    return new, table
