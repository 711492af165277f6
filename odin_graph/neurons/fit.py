"""Straight lines near the intervals of codes, so that sums over units are products of matrices of codes.

A table look-up costs ten times what a multiplication does. Codes of a linear codec lie on a line to within half a step,
and a line with its greatest distance bounds any codec: a bad fit costs time, never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOP: Final = 254
"""The greatest code that has an interval."""
_ROUNDING: Final = 2.0**-48
"""More than float64 loses in the few operations on a line, relative to its greatest value."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Of each of G units: a value with code c lies within ``half`` of ``slope * c + base``, for codes 0 to 254."""

    slope: Floats
    base: Floats
    half: Floats
    zero: bool = False
    """Whether code 0 is exactly 0 in all units."""

    @classmethod
    def of(cls, low: Floats, high: Floats) -> Self | None:
        """Lines for tables (G, 256); None where one of their codes 0 to 254 has no finite interval."""
        least, most = low[:, : TOP + 1], high[:, : TOP + 1]
        if not (np.isfinite(least).all() and np.isfinite(most).all()):
            return None
        slope = ((least[:, TOP] + most[:, TOP]) / 2 - (least[:, 1] + most[:, 1]) / 2) / (TOP - 1)
        line = slope[:, None] * np.arange(TOP + 1)
        above, below = (most - line).max(axis=1), (least - line).min(axis=1)
        size = np.maximum(np.abs(least), np.abs(most)).max(axis=1) + np.abs(line).max(axis=1)
        zero = not (low[:, 0].any() or high[:, 0].any())
        return cls(slope, (above + below) / 2, (above - below) / 2 + _ROUNDING * size, zero)

    @property
    def reach(self) -> Floats:
        """How large the terms of a line get, (G,): what float32 rounds in proportion to."""
        found: Floats = np.abs(self.slope) * 255 + np.abs(self.base)
        return found
