"""Tight bounds of a measure: from the tables of intervals, or the values where they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.neurons.block import Block, Floats, Keys, Values
from odin_graph.neurons.filtering import FilteredPart
from odin_graph.neurons.measure import Measure

_LEAST: Final = 256
_FLOATS: Final = 1 << 18
"""Images at least, and floats of their units, that are bounded at once."""
_ROUNDING: Final = 2.0**-50


@dataclass(frozen=True, eq=False)
class Bounds:
    """Images with bounds of their values; one array is both ends where all values are known."""

    keys: Keys
    low: Floats
    high: Floats

    def take(self, at: NDArray[np.int64] | NDArray[np.bool_]) -> Bounds:
        """Some of them."""
        return self._of(self.keys[at], lambda ends: ends[at])

    def negative(self) -> Bounds:
        """Bounds of the values with the other sign."""
        turned = self._of(self.keys, np.negative)
        return Bounds(self.keys, turned.high, turned.low)

    def _of(self, keys: Keys, ends: Callable[[Floats], Floats]) -> Bounds:
        low = ends(self.low)
        return Bounds(keys, low, low if self.high is self.low else ends(self.high))

    @classmethod
    def joined(cls, every: Sequence[Bounds]) -> Bounds:
        """The bounds of all parts, one after the other."""
        if len(every) == 1:  # no copy: fresh memory takes longer than all that is done with it
            return every[0]
        return cls(
            np.concatenate([part.keys for part in every] or [np.empty(0, np.int64)]),
            np.concatenate([part.low for part in every] or [np.empty(0)]),
            np.concatenate([part.high for part in every] or [np.empty(0)]),
        )


def bounds_at(passing: FilteredPart, measure: Measure, at: NDArray[np.int64] | None = None) -> Bounds:
    """Tight bounds of images, by the tables; both ends are the value where values are stored.

    Args:
        passing: The part.
        measure: What to bound.
        at: Positions in the part; by default those that pass.
    """
    part = passing.part
    at = passing.positions() if at is None else at
    number = len(part.keys) if at is None else len(at)
    known = isinstance(part, Values) and part.error is None
    low = np.empty(number)
    high = low if known else np.empty(number)
    step = max(_LEAST, _FLOATS // max(part.units, 1))
    for start in range(0, number, step):
        check()
        here = slice(start, start + step)
        places = here if at is None else at[here]
        if isinstance(part, Values) and part.error is not None:
            low[here], high[here] = measure.bounds(*_around(part.values[:, places], part.error))
        elif isinstance(part, Values):
            low[here] = measure(part.values[:, places])
        else:
            low[here], high[here] = measure.bounds(*intervals(part, places))
    return Bounds(part.keys if at is None else part.keys[at], low, high)


def intervals(block: Block, places: slice | NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The ends of each unit's interval (G, n)."""
    index = block.codes[:, places].astype(np.intp)
    index += np.arange(block.units)[:, None] * 256
    return block.low.ravel().take(index), block.high.ravel().take(index)


def _around(values: NDArray[Any], error: Floats) -> tuple[Floats, Floats]:
    """The ends of where captured values lie (G, n): as near as that, and anywhere where one is not finite."""
    wide, away = values.astype(np.float64), error[:, None]
    finite = np.isfinite(wide)
    away = away + np.abs(np.where(finite, wide, 0)) * _ROUNDING  # what the sum itself rounds
    return np.where(finite, wide - away, -np.inf), np.where(finite, wide + away, np.inf)
