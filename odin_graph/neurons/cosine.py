"""The cosine distance, 1 - cos, of weighted vectors, and its bounds by angles."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons.fit import Fit, Floats
from odin_graph.neurons.measure import Measure, summed
from odin_graph.neurons.sketch import ULP, Lines, Rough, Sketch, power_of_two

_ROUGH: Final = 1e-20
"""Squared lengths below it may have lost digits in float32, where the largest term of a vector is about 1."""


class Cosine(Measure):
    """1 - cos of the angle between values and a query, both times the root of the weights; NaN for a vector of zeros.

    Args:
        query: (G,), finite.
        weights: (G,), none below 0; None for 1.
    """

    def __init__(self, query: Floats, weights: Floats | None = None) -> None:
        self.units = len(query)
        self._query = query
        self._weights = np.ones(len(query)) if weights is None else weights
        self._along = self._weights * query
        self._length = float(np.sqrt(summed((self._along * query)[:, None])[0]))
        self.nowhere = self._length == 0
        # What arccos and a sum of G products may be off, as an angle and as a cosine.
        self._slack = 3 * np.sqrt((self.units + 8) * 2.0**-52)
        self._rounding = (self.units + 8) * 2.0**-50

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        product, square = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for along, weight, row in zip(self._along, self._weights, values, strict=True):
            wide = row.astype(np.float64)
            product += along * wide
            wide *= wide
            square += weight * wide
        return self._distance(product, np.sqrt(square))

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        turned = self._along[:, None] < 0
        least, most = self._products(np.where(turned, high, low)), self._products(np.where(turned, low, high))
        shortest = self._lengths(np.maximum(np.maximum(low, -high), 0.0))
        longest = self._lengths(np.maximum(high, -low))
        far = self._distance(least, np.where(least >= 0, longest, shortest))
        near = self._distance(most, np.where(most >= 0, shortest, longest))
        closest, furthest = self._by_angle(low, high)
        near, far = np.fmax(near, closest), np.fmin(far, furthest)
        open_ = shortest == 0  # the vector may be zero, and the distance missing
        near[open_], far[open_] = -np.inf, np.inf
        missing = (longest == 0) | (self._length == 0)
        near[missing], far[missing] = np.nan, np.nan
        return near, far

    def sketch(self, fit: Fit) -> Sketch | None:
        """The sketch of the angles between values and query; None for a query of zeros."""
        if self.nowhere:
            return None
        cone = _Cone(Lines(fit.slope, fit.base, fit.half), self._along, self._weights, self._length)
        cone.zero_is_missing = fit.zero
        return cone

    def _products(self, values: Floats) -> Floats:
        return summed(self._along[:, None] * values)

    def _lengths(self, values: Floats) -> Floats:
        found: Floats = np.sqrt(summed(self._weights[:, None] * (values * values)))
        return found

    def _distance(self, product: Floats, length: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = 1.0 - np.clip(product / (length * self._length), -1.0, 1.0)
        return found

    def _by_angle(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Bounds by a ball around the middle of the box, seen from 0 under an angle; NaN where it bounds nothing."""
        middle = low / 2 + high / 2
        length = self._lengths(middle)
        radius = self._lengths((high - middle) * (1 + 2.0**-40) + np.abs(middle) * 2.0**-50)
        sure = (length > radius * (1 + 2.0**-40)) & (self._length > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            cos = np.clip(self._products(middle) / (length * self._length), -1.0, 1.0)
            angle, spread = np.arccos(cos), np.arcsin(np.minimum(np.where(sure, radius / length, 0), 1)) + self._slack
        near = 1 - np.cos(np.maximum(angle - spread, 0)) - self._rounding
        far = 1 - np.cos(np.minimum(angle + spread, np.pi)) + self._rounding
        return np.where(sure, near, np.nan), np.where(sure, far, np.nan)


class _Cone(Sketch):
    """All that a code may mean lies in a cone around its line's value: its angle and the cone's are added up.

    Neither is computed: cos(a + b) = cos a cos b - sin a sin b, and sines and cosines are quotients of lengths.
    """

    def __init__(self, lines: Lines, along: Floats, weights: Floats, length: float) -> None:
        units = len(along)
        by = power_of_two(weights.max())
        self.margin = (2 * units + 32) * ULP
        self._lines = lines
        self._weights = (weights / by).astype(np.float32)
        largest = power_of_two(np.abs(along).max())
        self._along = (along / largest).astype(np.float32)
        # cos is product / (length of the values * length of the query), in the scales that were divided out
        self._cosine = np.float32(largest / (length * np.sqrt(by)))
        lost = np.abs(weights - by * self._weights.astype(np.float64))
        radius = np.sqrt((weights * lines.half**2).sum()) + np.sqrt((lost * lines.size**2).sum())
        self._radius = np.float32(radius / (lines.scale * np.sqrt(by)) * (1 + (2 * units + 16) * ULP))
        self._slack = np.float32(2 * np.sqrt((2 * units + 32) * ULP))  # an angle, by which a cosine near 1 may be off

    def rate(self, codes: Rough) -> tuple[Rough, Rough]:
        """From the middle of the cone less its angle, to the middle and its angle more."""
        placed = self._lines.place(codes)
        cos = self._along @ placed
        np.multiply(placed, placed, out=placed)
        square = self._weights @ placed
        length = np.sqrt(np.maximum(square, np.float32(_ROUGH)))
        cos /= length
        cos *= self._cosine
        sin = np.sqrt(np.maximum(1 - cos * cos, 0))
        wide = self._radius / length + self._slack  # the sine of the cone's angle
        open_ = (wide >= 1) | (square <= _ROUGH)  # any angle, and perhaps a vector of zeros
        np.minimum(wide, 1, out=wide)
        narrow = np.sqrt(1 - wide * wide)
        sin *= wide
        along = cos * narrow
        least, most = 1 - (along + sin), 1 - (along - sin)
        least *= cos < narrow  # 0 where the query lies in the cone
        if (opposite := cos <= -narrow).any():
            most[opposite] = 2
        if open_.any():
            least[open_], most[open_] = -np.inf, np.inf
        return least, most
