"""A small version of a large image, averaged while its rows are read."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SIDE: Final = 1024
"""Pixels of its longer side at most."""
_STRIP: Final = 64
"""Rows summed at once: sums take eight bytes a number."""


class Overview:
    """Averages over squares of pixels, as many as make the longer side `SIDE` at most.

    Args:
        shape: Height, width and bands of the image.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        height, width, bands = shape
        self._step = -(-max(height, width) // SIDE)
        self._sums = np.zeros((-(-height // self._step), -(-width // self._step), bands))
        self._starts = np.arange(0, width, self._step)
        widths = np.diff(np.append(self._starts, width))
        heights = np.diff(np.append(np.arange(0, height, self._step), height))
        self._counts = np.outer(heights, widths)[:, :, np.newaxis]
        self._next = 0

    def take(self, rows: NDArray[Any]) -> None:
        """Add the next rows (n, w, bands)."""
        with np.errstate(over="ignore", invalid="ignore"):  # averages of infinite floats or NaN are the same
            for first in range(0, len(rows), _STRIP):
                strip = rows[first : first + _STRIP]
                columns = np.add.reduceat(strip, self._starts, axis=1, dtype=np.float64)
                np.add.at(self._sums, np.arange(self._next, self._next + len(strip)) // self._step, columns)
                self._next += len(strip)

    def pixels(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The averages (h', w', bands) in the image's dtype; integers are rounded, a bool is that of most pixels."""
        with np.errstate(over="ignore", invalid="ignore"):
            means: NDArray[Any] = self._sums / self._counts
            if dtype.kind == "b":
                means = means > 0.5
            elif dtype.kind in "iu":
                limits = np.iinfo(dtype)
                high = float(limits.max)
                if int(high) > limits.max:  # floats cannot represent the largest 64-bit integers
                    high = float(np.nextafter(high, 0))
                means = np.clip(np.rint(means), float(limits.min), high)
            return means.astype(dtype)
