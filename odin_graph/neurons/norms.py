"""Lengths of a group's values, or of their differences to a query: sum, root of squares, or largest."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons.fit import Fit, Floats
from odin_graph.neurons.measure import Measure, summed
from odin_graph.neurons.sketch import ULP, Lines, Rough, Sketch, power_of_two

Kind = Literal["l1", "l2", "linf"]

_TINY: Final = 1e-18
"""More than float32 loses where a square or a product vanishes, of terms of size 1."""


class Norm(Measure):
    """The length of w * (value - center): l1 sum w|d|, l2 root of sum w d^2, linf largest w|d|.

    Args:
        kind: Which.
        center: (G,), or None for 0.
        weights: (G,), none below 0; None for 1.
    """

    def __init__(self, kind: Kind, center: Floats | None = None, weights: Floats | None = None) -> None:
        self.kind = kind
        self._center = None if center is None else center[:, None]
        self._weights = None if weights is None else weights[:, None]
        for fixed in (center, weights):
            if fixed is not None:
                self.units = len(fixed)

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        total = np.zeros(values.shape[1])
        for unit, row in enumerate(values):
            term = row.astype(np.float64)
            if self._center is not None:
                term -= self._center[unit]
            np.abs(term, out=term)
            self._add(total, self._weighed(term, unit))
        return np.sqrt(total) if self.kind == "l2" else total

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        if self._center is not None:
            low, high = low - self._center, high - self._center
        least, most = np.maximum(np.maximum(low, -high), 0.0), np.maximum(high, -low)
        ends = np.zeros(low.shape[1]), np.zeros(low.shape[1])
        for total, terms in zip(ends, (least, most), strict=True):
            for unit, term in enumerate(terms):
                self._add(total, self._weighed(term, unit))
        return (np.sqrt(ends[0]), np.sqrt(ends[1])) if self.kind == "l2" else ends

    def sketch(self, fit: Fit) -> Sketch:
        """The distances of lines to the center: by the triangle inequality off by the length of the half widths."""
        units = len(fit.slope)
        center = np.zeros(units) if self._center is None else self._center[:, 0]
        weights = np.ones(units) if self._weights is None else self._weights[:, 0]
        return _NormSketch(self.kind, Lines(fit.slope, fit.base - center, fit.half), weights)

    def _weighed(self, term: Floats, unit: int) -> Floats:
        """A unit's term, from its distance; may overwrite it."""
        if self.kind == "l2":
            term = np.multiply(term, term, out=term)
        if self._weights is not None:
            term *= self._weights[unit]
        return term

    def _add(self, total: Floats, term: Floats) -> None:
        if self.kind == "linf":
            np.maximum(total, term, out=total)
        else:
            total += term


class _NormSketch(Sketch):
    def __init__(self, kind: Kind, lines: Lines, weights: Floats) -> None:
        self._kind, self._lines = kind, lines
        by = power_of_two(weights.max())
        self._weights = (weights / by).astype(np.float32)
        lost = np.abs(weights - by * self._weights.astype(np.float64))
        self.scale = lines.scale * (np.sqrt(by) if kind == "l2" else by)
        units = len(weights)
        self.margin = float(
            length(kind, lines.half, weights) * (1 + ULP)
            + length(kind, lines.size, lost)
            + (units + 16) * 2 * ULP * length(kind, lines.size, weights)
            + units * _TINY * self.scale
        )

    def rate(self, codes: Rough) -> tuple[Rough, Rough]:
        placed = self._lines.place(codes)
        if self._kind == "l2":
            placed *= placed
            found: Rough = np.sqrt(self._weights @ placed)
            return found, found
        np.abs(placed, out=placed)
        if self._kind == "l1":
            found = self._weights @ placed
        else:
            placed *= self._weights[:, None]
            found = placed.max(axis=0)
        return found, found


def length(kind: Kind, away: Floats, weights: Floats) -> float:
    """The length of one vector (G,) of distances."""
    if kind == "linf":
        return float((weights * away).max())
    total = float(summed((weights * (away * away if kind == "l2" else away))[:, None])[0])
    return float(np.sqrt(total)) if kind == "l2" else total
