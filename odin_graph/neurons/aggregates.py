"""Aggregates of a group of units, one number an image: ``units.mean()``. An extension point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.neurons.fit import Fit, Floats
from odin_graph.neurons.measure import Measure, checked_weights, summed
from odin_graph.neurons.norms import Norm
from odin_graph.neurons.sketch import Extreme, Linear, Lines, Sketch
from odin_graph.registry import Registry

AGGREGATES: Final[Registry[Callable[..., Measure]]] = Registry("aggregate of units", "odin_graph.unit_aggregates")
"""Each makes a `Measure`; one that takes weights has a parameter ``weights``."""


def aggregate(name: str, weights: Any = None) -> Measure:
    """The aggregate of that name.

    Args:
        name: sum, mean, max, min, l1 (sum of absolute values), l2 (root of the sum of squares), weighted (the sum of
            values times weights), or one of a plug-in.
        weights: One number a unit, of those that take them.

    Raises:
        UnknownNameError: There is none of that name.
        QueryError: Weights are missing, too many, or not finite.
    """
    make = AGGREGATES.get(name)
    if weights is None:
        if make is Weighted:
            raise QueryError("A weighted sum of units needs weights=, one number a unit.")
        return make()
    if make in (Sum, Mean, Largest, Smallest, l1, l2):
        raise QueryError(f"The aggregate {name!r} takes no weights: weighted does.")
    return make(weights=weights)


@AGGREGATES.register("sum")
class Sum(Measure):
    """The sum of all units."""

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        return summed(values)

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        return self.value(low), self.value(high)

    def sketch(self, fit: Fit) -> Sketch:
        """A product of slopes and codes."""
        return Linear(np.ones(len(fit.slope)), fit.slope, fit.base, fit.half)


@AGGREGATES.register("mean")
class Mean(Sum):
    """The mean of all units."""

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        return summed(values) / len(values)

    def sketch(self, fit: Fit) -> Sketch:
        """A product of slopes and codes."""
        return Linear(np.full(len(fit.slope), 1 / len(fit.slope)), fit.slope, fit.base, fit.half)


@AGGREGATES.register("weighted")
class Weighted(Measure):
    """The sum of units times weights.

    Args:
        weights: (G,), finite; some may be below 0.
    """

    def __init__(self, weights: Any) -> None:
        self._weights = checked_weights(weights, negative=True)
        self.units = len(self._weights)

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        total = np.zeros(values.shape[1])
        for weight, row in zip(self._weights, values, strict=True):
            total += weight * row.astype(np.float64)
        return total

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        turned = self._weights[:, None] < 0
        return self.value(np.where(turned, high, low)), self.value(np.where(turned, low, high))

    def sketch(self, fit: Fit) -> Sketch:
        """A product of slopes and codes."""
        return Linear(self._weights, fit.slope, fit.base, fit.half)


@AGGREGATES.register("max")
class Largest(Measure):
    """The largest unit."""

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        found: Floats = np.maximum.reduce(values, axis=0).astype(np.float64)
        return found

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        return self.value(low), self.value(high)

    def sketch(self, fit: Fit) -> Sketch:
        """The largest of the lines."""
        return Extreme(Lines(fit.slope, fit.base, fit.half), largest=True)


@AGGREGATES.register("min")
class Smallest(Measure):
    """The smallest unit."""

    def value(self, values: NDArray[Any]) -> Floats:
        """(n,) of values (G, n)."""
        found: Floats = np.minimum.reduce(values, axis=0).astype(np.float64)
        return found

    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The ends of where it lies for units in [low, high] (G, n)."""
        return self.value(low), self.value(high)

    def sketch(self, fit: Fit) -> Sketch:
        """The smallest of the lines."""
        return Extreme(Lines(fit.slope, fit.base, fit.half), largest=False)


@AGGREGATES.register("l1")
def l1() -> Measure:
    """The sum of absolute values."""
    return Norm("l1")


@AGGREGATES.register("l2")
def l2() -> Measure:
    """The root of the sum of squares."""
    return Norm("l2")
