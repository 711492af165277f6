"""A group of units as the engine reads it: codes with their intervals, or values, segment by segment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ShapeError
from odin_graph.neurons.fit import Fit

Keys: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

NO_VALUE: Final = 255
"""The code of NaN and infinities, whose interval is everything."""


@dataclass(frozen=True, eq=False)
class Block:
    """The stored codes of a group of G units over the n images of one segment."""

    keys: Keys
    """(n,), sorted, distinct."""
    codes: NDArray[np.uint8]
    """(G, n), C order; row g is unit g of the group, in the order in which the group names them."""
    low: Floats
    """(G, 256): a value with code c lies in [low[g, c], high[g, c]]."""
    high: Floats
    """(G, 256): equal to low where the code is exact (0 of a ReLU layer)."""

    def __post_init__(self) -> None:
        units = len(self.codes)
        if self.codes.shape != (units, len(self.keys)) or not self.low.shape == self.high.shape == (units, 256):
            raise ShapeError(
                f"A block of {units} units over {len(self.keys)} images needs codes ({units}, {len(self.keys)}) and "
                f"intervals ({units}, 256), not {self.codes.shape}, {self.low.shape} and {self.high.shape}."
            )

    @property
    def units(self) -> int:
        """G."""
        return len(self.codes)

    @cached_property
    def fit(self) -> Fit | None:
        """The straight lines near its intervals; None where a code other than 255 may be anything."""
        return Fit.of(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Values:
    """The values themselves of a group of G units over the n images of one segment: as captured, or near to that."""

    keys: Keys
    """(n,), sorted, distinct."""
    values: NDArray[Any]
    """(G, n), float32 or float16; row g is unit g of the group."""
    error: Floats | None = None
    """(G,) how far those that are finite may lie from the captured ones; None where they are these."""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.keys):
            raise ShapeError(f"Values of {len(self.keys)} images are (units, images), not {self.values.shape}.")

    @property
    def units(self) -> int:
        """G."""
        return len(self.values)


Part: TypeAlias = Block | Values


class Exact(Protocol):
    """The source of values that codes cannot decide: finer columns, or the model run again."""

    def __call__(self, keys: Keys) -> NDArray[np.float32]:
        """The values (n, G) of the group for n sorted keys."""
        ...
