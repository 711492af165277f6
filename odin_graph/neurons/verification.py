"""Which of the images that bounds leave are the k best: as few of them as possible are read exactly.

The second phase of the VA-file. Let each image count by the best that it may be, and a known one by what it is: an
image that then is among the k best has to be read by any method that knows no more. So those are asked for, until
none is left; together, since a model is run on a batch in the time of one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import StoreError
from odin_graph.neurons.block import Floats, Keys
from odin_graph.neurons.bounds import Bounds

LEAST_BATCH: Final = 8
"""Images that are asked for at once at least, of those that may still matter."""
_SHARE: Final = 8
"""Of many that were asked for already, the share by which one batch may be too large."""


@dataclass(frozen=True, eq=False)
class ExactValues:
    """The values of images as run again or stored, and the ends of where the captured values lie."""

    value: Floats
    low: Floats
    high: Floats
    beyond: int = 0
    """Images whose values lie further from their codes than the noise says."""


ReadExact = Callable[[Keys], ExactValues]


class Verification:
    """The candidates of an answer, more and more of them known. Larger is better.

    Args:
        bounds: Of the candidates, in any order of keys.
        read_exact: Gives exact values of images by sorted keys.
        strict: Whether those are the captured ones, so that codes must agree with them.
    """

    def __init__(self, bounds: Bounds, read_exact: ReadExact, *, strict: bool) -> None:
        self.keys, self.value = bounds.keys, np.full(len(bounds.keys), np.nan)
        self.missing = np.isnan(bounds.low)
        self.low = np.where(self.missing, -np.inf, bounds.low)
        self.high = np.where(self.missing, -np.inf, bounds.high)
        self.known = self.missing | (self.low == self.high)
        self.value[self.known] = bounds.low[self.known]
        self._doubted = np.zeros(len(bounds.keys), np.bool_)
        """Images whose value is missing when run again, though the captured one may not be."""
        self.verified = self.rounds = self.beyond = 0
        self._read_exact, self._strict = read_exact, strict

    def best(self, k: int) -> NDArray[np.int64]:
        """Make the k best known; their positions, best first, ties by key, missing ones last."""
        while True:
            check()
            order = np.lexsort((self.keys, -np.where(self.known, self.low, self.high), self.missing))
            needed = order[:k][~self.known[order[:k]]]
            if not len(needed):
                return self._ranked(k)
            batch = max(LEAST_BATCH, self.verified // _SHARE)
            if len(needed) < batch:
                needed = np.concatenate([needed, self._promising(order[k:], k)[: batch - len(needed)]])
            self.verify(needed)

    def _ranked(self, k: int) -> NDArray[np.int64]:
        known = np.flatnonzero(self.known)
        value = np.where(self.missing, 0, self.value)[known]
        order = np.lexsort((self.keys[known], -value, self.missing[known]))[:k]
        found: NDArray[np.int64] = known[order]
        return found

    def _promising(self, rest: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """The other images that are not known and may still be among the k best."""
        rest = rest[~self.known[rest]]
        if len(self.low) <= k:
            return rest
        edge = np.partition(self.low, len(self.low) - k)[len(self.low) - k]
        promising: NDArray[np.int64] = rest[self.high[rest] >= edge]
        return promising

    def verify(self, at: NDArray[np.int64]) -> None:
        """Ask for the exact values of images, and store them.

        Raises:
            StoreError: A value lies outside of its code's interval, and nothing was run again that could explain it.
        """
        at = at[np.argsort(self.keys[at])]
        exact = self._read_exact(self.keys[at])
        self.verified, self.rounds = self.verified + len(at), self.rounds + 1
        agreed = reconciled(exact, Bounds(self.keys[at], self.low[at], self.high[at]), strict=self._strict)
        self.beyond += agreed.beyond
        missing = np.isnan(agreed.value)
        self.missing[at], self.known[at], self.value[at] = missing, True, agreed.value
        self._doubted[at] = missing & ~np.isnan(agreed.low)
        self.low[at], self.high[at] = np.where(missing, -np.inf, agreed.low), np.where(missing, -np.inf, agreed.high)

    def tied(self, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the place of each of these known images rests on less than the noise."""
        known = self.known & (~self.missing | self._doubted)
        low = np.where(self._doubted, -np.inf, self.low)[known]
        high = np.where(self._doubted, np.inf, self.high)[known]
        if (low == high).all():
            return np.zeros(len(at), np.bool_)
        exact = np.sort(low[low == high])
        first, last = self.low[at], self.high[at]
        alike = np.searchsorted(exact, first, "right") - np.searchsorted(exact, first, "left")
        touching = np.searchsorted(np.sort(low), last, "right") - np.searchsorted(np.sort(high), first, "left")
        # Itself touches itself; images that are surely equal go by key.
        found: NDArray[np.bool_] = touching > np.where(first == last, alike, 1)
        found |= (first == -np.inf) & (last == np.inf)  # the captured value may be missing
        return np.where(self.missing[at], self._doubted[at], found)


def reconciled(exact: ExactValues, bounds: Bounds, *, strict: bool) -> ExactValues:
    """Combine exact values with what codes say: a captured value lies within both.

    Raises:
        StoreError: They contradict each other, and no noise could explain it.
    """
    missing = np.isnan(exact.low)
    low, high = np.fmax(exact.low, bounds.low), np.fmin(exact.high, bounds.high)
    apart = (low > high) | (missing & (bounds.low > -np.inf))
    if apart.any():
        if strict:
            raise StoreError(
                f"The values of image {bounds.keys[apart][0]} are not where its stored codes say: they were computed "
                "by other weights or preprocessing, or on another device whose noise is not known. Materialize the "
                "layer again."
            )
        low, high = np.where(apart, exact.low, low), np.where(apart, exact.high, high)
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    value = np.clip(exact.value, low, high)
    # What was run again has no value where the captured image has one (a vector that comes out as zero): the middle.
    lost = np.isnan(value) & np.isfinite(low) & np.isfinite(high)
    value[lost] = low[lost] / 2 + high[lost] / 2
    return ExactValues(value, low, high, max(exact.beyond, int(apart.sum())))
