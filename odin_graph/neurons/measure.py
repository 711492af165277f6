"""A number that a group of units gives for an image, and what is known of it when only intervals are.

Everything is accumulated in float64, unit after unit in the order of the group. Each operation (a sum, a product with a
constant, a square, a root) is rounded correctly and so never turns an order round: the same operations on the ends of
intervals give bounds that hold for the computed number to its last bit, and an exact code gives the number itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError, ShapeError
from odin_graph.neurons.fit import Fit, Floats
from odin_graph.neurons.sketch import Sketch

SMALLEST: Final = float(np.finfo(np.float32).tiny)
LARGEST: Final = float(np.finfo(np.float32).max)
"""Sizes of weights that are not 0: so that no product of three numbers leaves float64."""


class Measure(ABC):
    """A number for each image, of the values of G units: an aggregate, or a distance to a query."""

    units: int | None = None
    """G, where it is fixed by weights or a query."""
    nowhere: bool = False
    """Whether it is missing for every image, as an angle to a vector of zeros is."""

    def __call__(self, values: NDArray[Any]) -> Floats:
        """The numbers (n,) of values (G, n) of any float type. NaN where a unit is NaN, or infinities cancel."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.value(values)

    def bounds(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Bounds (n,) of the numbers, of units that lie in [low, high], both (G, n).

        Both are NaN where it surely is missing. They are -inf and inf where it may be anything, missing too, as where a
        unit's interval is not finite.
        """
        known = np.isfinite(low).all(axis=0) & np.isfinite(high).all(axis=0)
        with np.errstate(invalid="ignore", over="ignore"):
            least, most = self.box(low, high)
        if not known.all():
            least[~known], most[~known] = -np.inf, np.inf
        return least, most

    @abstractmethod
    def value(self, values: NDArray[Any]) -> Floats:
        """As `__call__`; numbers that are not finite warn of nothing."""

    @abstractmethod
    def box(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """As `bounds`, where ends that are not finite may give anything."""

    def sketch(self, fit: Fit) -> Sketch | None:  # noqa: ARG002 - an extension point
        """How to bound it for all images of a block quickly; None if that is not known, and tables are read."""
        return None


def checked_weights(weights: Any, *, negative: bool) -> Floats:
    """Weights (G,) in float64.

    Raises:
        ShapeError: They are no vector.
        QueryError: One is not finite, too large or too small for float32, or negative where none may be.
    """
    array: Floats = np.array(weights, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ShapeError(f"Weights are one number a unit, not of shape {array.shape}.")
    size = np.abs(array) if negative else array
    bad = (array != 0) & ~((size >= SMALLEST) & (size <= LARGEST))
    if bad.any():
        sign = "" if negative else " and not below 0"
        raise QueryError(
            f"Weights are 0 or of a size of {SMALLEST:.3g} to {LARGEST:.3g}{sign}: that of unit {int(bad.argmax())} of "
            f"the group is {array[bad][0]}."
        )
    return array


def summed(terms: NDArray[Any]) -> Floats:
    """The sum over units (G, n), one after the other: NumPy's own adds in an order that depends on the shape."""
    total = np.zeros(terms.shape[1])
    for row in terms:
        total += row
    return total
