"""Quick bounds of a measure for all images of a block: codes times a small matrix, in float32.

A sketch is looser than the tables, and only says which images cannot be in the answer. What float32 rounds, and what a
straight line misses of a code's interval, is part of its margin.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rough = NDArray[np.float32]

ULP: Final = 2.0**-23
"""Twice what float32 rounds, relative to a result."""


class Sketch(ABC):
    """The number lies within scale * [least, most] + offset +- margin."""

    scale: float = 1.0
    offset: float = 0.0
    margin: float = 0.0
    zero_is_missing: bool = False
    """Whether the number is missing of an image all of whose codes are 0."""

    @abstractmethod
    def rate(self, codes: Rough) -> tuple[Rough, Rough]:
        """Least and most (m,) of images with codes (G, m), which it may overwrite; the same array where one will do."""


class Linear(Sketch):
    """The sketch of a weighted sum: codes times slopes.

    Args:
        weights: (G,)
        slope: (G,), of the lines.
        base: (G,)
        half: (G,), how far a value may be from its line.
    """

    def __init__(self, weights: Floats, slope: Floats, base: Floats, half: Floats) -> None:
        factors = weights * slope
        self.scale = power_of_two(np.abs(factors).max())
        self._factors = (factors / self.scale).astype(np.float32)
        self.offset = float((weights * base).sum())
        size = (np.abs(weights) * (np.abs(slope) * 255 + np.abs(base))).sum()
        lost = np.abs(factors - self.scale * self._factors.astype(np.float64)).sum() * 255
        self.margin = float((np.abs(weights) * half).sum() * (1 + ULP) + lost + (len(slope) + 8) * ULP * size)

    def rate(self, codes: Rough) -> tuple[Rough, Rough]:
        """A product."""
        found: Rough = self._factors @ codes
        return found, found


class Lines:
    """Each unit's line in float32, scaled so that no sum or square leaves it.

    Args:
        slope: (G,)
        base: (G,)
        half: (G,), how far a value may be from its line.
    """

    def __init__(self, slope: Floats, base: Floats, half: Floats) -> None:
        self.size = np.abs(slope) * 255 + np.abs(base)
        self.scale = power_of_two(self.size.max())
        self._slope = (slope / self.scale).astype(np.float32)[:, None]
        self._base = (base / self.scale).astype(np.float32)[:, None]
        lost = np.abs(slope - self.scale * self._slope[:, 0].astype(np.float64)) * 255
        lost += np.abs(base - self.scale * self._base[:, 0].astype(np.float64))
        self.half = half * (1 + ULP) + lost + 4 * ULP * self.size
        """How far a value may be from what `place` gives, before it is scaled."""

    def place(self, codes: Rough) -> Rough:
        """Turn codes (G, m) into values, in units of the scale."""
        codes *= self._slope
        codes += self._base
        return codes


class Extreme(Sketch):
    """The sketch of the largest or the smallest unit."""

    def __init__(self, lines: Lines, *, largest: bool) -> None:
        self._lines, self._largest = lines, largest
        self.scale = lines.scale
        self.margin = float(lines.half.max())

    def rate(self, codes: Rough) -> tuple[Rough, Rough]:
        """The largest or the smallest value."""
        placed = self._lines.place(codes)
        found: Rough = placed.max(axis=0) if self._largest else placed.min(axis=0)
        return found, found


def power_of_two(size: float) -> float:
    """The power of two just above a size, so that what is divided by it keeps its digits; 1 for 0."""
    return float(2.0 ** np.ceil(np.log2(size))) if size > 0 else 1.0
