"""The codec u8: activations of units as 255 intervals between a unit's least and largest value. Pure NumPy.

A unit whose least value is zero (ReLU) has code 0 for exactly zero, and code c for ``((c - 1) s, c s]`` with
``s = high / 254``. Every other unit has code c for ``[low + c s, low + (c + 1) s]`` with ``s = (high - low) / 255``.
Both are widened by the rounding errors of float32, and end at the least and the largest value themselves; at other
ends where an image with one of these values was purged, see `forgetting`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

NOT_FINITE: Final = 255
"""The code of NaN and of the infinities: no interval."""
SCALES: Final = 4
"""Columns of a unit's scale: its least and its largest finite value, how many NaN, how many infinities."""
CEIL: Final = 254
LINEAR: Final = 255
"""Steps between the ends, of a unit whose least value is zero and of every other."""
_SLACK: Final = 2.0**-13
"""Widening, in steps. Three roundings of float32 are 255 * 3 * 2**-24 of a step, which is less."""
_TAME: Final = (1e-30, 1e37)
"""The least span and the largest size with which float32 arithmetic neither underflows nor overflows."""
_BLOCK: Final = 1 << 17
"""Values at once: what the processor's cache holds."""

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]
Scales = NDArray[np.float64]


def encode(values: Floats) -> tuple[Codes, Scales]:
    """Code the activations of units.

    Args:
        values: (units, n) float32, any values.

    Returns:
        Codes (units, n), and scales (units, 4): see `SCALES`.
    """
    units, n = values.shape
    codes = np.empty((units, n), np.uint8)
    unit_scales = scales(values)
    rows = max(1, _BLOCK // max(1, n))
    for start in range(0, units, rows):
        part = slice(start, start + rows)
        _encode(values[part], unit_scales[part], codes[part])
    return codes, unit_scales


def scales(values: Floats) -> Scales:
    """The scales (units, 4) of values (units, n)."""
    unit_scales = np.zeros((len(values), SCALES))
    if not values.size:
        return unit_scales
    unit_scales[:, 0], unit_scales[:, 1] = values.min(axis=1), values.max(axis=1)  # NaN in a row is NaN in both
    special = np.flatnonzero(~(np.isfinite(unit_scales[:, 0]) & np.isfinite(unit_scales[:, 1])))
    for row in special:
        finite = values[row][np.isfinite(values[row])]
        nans = int(np.isnan(values[row]).sum())
        ends = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
        unit_scales[row] = (*ends, nans, values.shape[1] - finite.size - nans)
    return unit_scales


def tables(
    unit_scales: Scales, overlap: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The meaning of each code: the least and the largest value (units, 256) that it may stand for.

    They are equal where the code is exact. `NOT_FINITE` is from minus to plus infinity, and may be NaN.

    Args:
        unit_scales: (units, 4) or more columns: see `SCALES`.
        overlap: (units,) how many steps further each interval reaches on either side; none by default.
    """
    low, high = unit_scales[:, :1], unit_scales[:, 1:2]
    ceil = low == 0
    step = (high - low) / np.where(ceil, CEIL, LINEAR)
    left = low + step * (np.arange(NOT_FINITE) - ceil)
    slack = _SLACK + (0 if overlap is None else overlap[:, None])
    least = np.full((len(unit_scales), NOT_FINITE + 1), -np.inf)
    largest = np.full((len(unit_scales), NOT_FINITE + 1), np.inf)
    least[:, :NOT_FINITE] = np.clip(left - slack * step, low, high)
    largest[:, :NOT_FINITE] = np.clip(left + (1 + slack) * step, low, high)
    largest[ceil[:, 0], 0] = 0
    return least, largest


def _encode(values: Floats, unit_scales: Scales, out: Codes) -> None:
    """Codes of a few units, by their scales."""
    special = unit_scales[:, 2] + unit_scales[:, 3] > 0
    low, high = unit_scales[:, 0], unit_scales[:, 1]
    span, size = high - low, np.maximum(np.abs(low), np.abs(high))
    tame = ~special & (span > _TAME[0]) & (size < _TAME[1])
    for ceil in (True, False):
        rows = np.flatnonzero(tame & ((low == 0) == ceil))
        if len(rows) == len(values):
            _steps(values, low, span, ceil, out)
        elif len(rows):
            part = np.empty((len(rows), values.shape[1]), np.uint8)
            _steps(values[rows], low[rows], span[rows], ceil, part)
            out[rows] = part
    for row in np.flatnonzero(~tame):
        finite = np.isfinite(values[row])
        exact = np.where(finite, values[row], low[row]).astype(np.float64)
        if span[row] == 0:
            out[row] = 0
        elif low[row] == 0:
            steps = np.ceil(exact * (CEIL / span[row]))
            out[row] = np.clip(steps, exact > 0, CEIL)
        else:
            out[row] = np.minimum((exact - low[row]) * (LINEAR / span[row]), LINEAR - 1)
        out[row][~finite] = NOT_FINITE


def _steps(values: Floats, low: NDArray[np.float64], span: NDArray[np.float64], ceil: bool, out: Codes) -> None:
    """How many steps each value is above the least, in float32."""
    inverse = ((CEIL if ceil else LINEAR) / span).astype(np.float32)[:, None]
    if ceil:
        steps = values * inverse
        np.ceil(steps, out=steps)
        if (inverse < 1).any():  # what is not zero is never coded as zero, also where the product is
            np.maximum(steps, values > 0, out=steps)
    else:
        steps = values - low.astype(np.float32)[:, None]
        steps *= inverse
    np.minimum(steps, 254, out=steps)
    np.copyto(out, steps, casting="unsafe")
