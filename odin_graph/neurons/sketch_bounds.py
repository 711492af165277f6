"""A measure of all images of a block, bounded quickly: which of them can reach a value.

Ten units of 60,000 images take half a millisecond: codes become float32 in a buffer that fits the cache, and are
multiplied there.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.neurons.block import NO_VALUE, Block, Floats, Values
from odin_graph.neurons.filtering import FilteredPart
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.sketch import Rough, Sketch

_CHUNK: Final = 8_192
"""Images at once: ten units of them fit a core's cache, and NumPy's own overhead is small beside them."""
_FLOATS: Final = 1 << 18
"""Floats at once; for larger matrices BLAS starts threads of its own."""
_DENSE: Final = 0.3
"""Where more than this share of a block passes, all of it is sketched: codes are read in order."""
_FEW: Final = 1 << 12
"""Codes of which a sketch saves nothing: the tables are read at once."""
_DEEP: Final = 32
_WIDE: Final = 8
"""Values of which only the largest is looked at first, and how many such are worth it for each that is wanted."""
_ALONE: Final = 1 << 22
"""Codes below which one thread is done before another has begun."""


Rates = TypeVar("Rates", NDArray[np.float32], Floats)


class SketchBounds:
    """The bounds of all passing images of a block, as its sketch sees them, of values with a sign.

    Args:
        passing: A block.
        sketch: Of the measure.
        sign: 1, or -1 for bounds of the negative values.
        threads: To use where there is much to do.
    """

    def __init__(self, passing: FilteredPart, sketch: Sketch, sign: int, threads: int = 1) -> None:
        block, at = passing.part, passing.at
        assert isinstance(block, Block)
        dense = at is None or len(at) > _DENSE * len(block.keys)
        self._at = None if dense else at
        """Positions in the block of the arrays' entries; None where the arrays cover the whole block."""
        least, most, self._open, self._missing = _rated(block, self._at, sketch, threads)
        if sign < 0:
            turned = np.negative(most, out=most)
            least, most = turned, turned if most is least else np.negative(least, out=least)
        self._least, self._most, self._sketch, self._sign = least, most, sketch, sign
        self._hidden: NDArray[np.bool_] | NDArray[np.int64] | None = passing.gone if at is None else None
        """Images that do not pass, where all of a block is sketched."""
        if dense and at is not None:
            hidden = np.ones(len(block.keys), np.bool_)
            hidden[at] = False
            self._hidden = hidden

    def best_low(self, k: int) -> Floats:
        """The k largest lower ends, in no order; fewer where fewer images surely have a value."""
        least = self._least
        least[self._open] = least[self._missing] = -np.inf
        if self._hidden is not None:
            least[self._hidden] = -np.inf
        found = largest(least, k).astype(np.float64)
        found = found[found > -np.inf]
        return self._sketch.scale * found + self._sign * self._sketch.offset - self._sketch.margin

    def reaching(self, value: float) -> NDArray[np.int64]:
        """The positions in the block of images that may have the value or more."""
        self._most[self._open] = np.inf
        self._most[self._missing] = -np.inf
        edge = (value - self._sign * self._sketch.offset - self._sketch.margin) / self._sketch.scale
        reaching = self._most >= _below(edge)
        if self._hidden is not None:
            reaching[self._hidden] = False
        found = np.flatnonzero(reaching)
        return found if self._at is None else self._at[found]

    def beside(self, value: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The positions of images that surely are above a value, surely below, and others; of passing ones alone."""
        middle = value - self._sign * self._sketch.offset
        above = self._least > -_below(-(middle + self._sketch.margin) / self._sketch.scale)
        below = self._most < _below((middle - self._sketch.margin) / self._sketch.scale)
        for unsure in (self._open, self._missing):
            above[unsure] = below[unsure] = False
        masks = above, below, ~(above | below)
        for mask in masks:
            if self._hidden is not None:
                mask[self._hidden] = False
        first, second, third = (np.flatnonzero(mask) for mask in masks)
        return (first, second, third) if self._at is None else (self._at[first], self._at[second], self._at[third])


def sketch_of(passing: FilteredPart, measure: Measure) -> Sketch | None:
    """The sketch by which a part is bounded quickly; None where its tables are read at once."""
    part = passing.part
    if isinstance(part, Values) or len(passing) * part.units <= _FEW or part.fit is None:
        return None
    return measure.sketch(part.fit)


def largest(values: Rates, k: int) -> Rates:
    """The k largest of them (all, if they are fewer), in no order; none of them NaN."""
    columns = len(values) // _DEEP
    if columns > _WIDE * k:  # at least k columns reach the edge, so values below it are not among the k
        tops = values[: _DEEP * columns].reshape(_DEEP, columns).max(axis=0)
        edge = np.partition(tops, columns - k)[columns - k]
        values = values[values >= edge]
    return np.partition(values, len(values) - k)[len(values) - k :] if len(values) > k else values


def _rated(
    block: Block, at: NDArray[np.int64] | None, sketch: Sketch, threads: int
) -> tuple[Rough, Rough, NDArray[np.int64], NDArray[np.int64]]:
    """Least and most, the same array where one will do; positions of images that may have any value, or have none."""
    number = len(block.keys) if at is None else len(at)
    step = max(64, min(_CHUNK, _FLOATS // block.units))
    least, most = np.empty(number, np.float32), np.empty(0, np.float32)
    most_of: dict[int, Rough] = {}
    open_: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    missing: list[NDArray[np.int64]] = [np.empty(0, np.int64)]

    def rate(first: int, last: int) -> None:
        buffer = np.empty(block.units * step, np.float32)
        for start in range(first, last, step):
            check()
            stop = min(start + step, last)
            codes = block.codes[:, start:stop] if at is None else block.codes.take(at[start:stop], axis=1)
            if codes.max() == NO_VALUE:
                open_.append(start + np.flatnonzero((codes == NO_VALUE).any(axis=0)))
            if sketch.zero_is_missing:
                missing.append(start + np.flatnonzero(codes.max(axis=0) == 0))
            floats = buffer[: block.units * (stop - start)].reshape(block.units, stop - start)
            np.copyto(floats, codes)
            low, high = sketch.rate(floats)
            least[start:stop] = low
            if high is not low:
                most_of[start] = high

    _share(rate, number, step, threads if number * block.units > _ALONE else 1)
    if most_of:
        most = np.concatenate([most_of[start] for start in sorted(most_of)])
    return least, most if most_of else least, np.concatenate(open_), np.concatenate(missing)


def _share(rate: Callable[[int, int], None], number: int, step: int, threads: int) -> None:
    """Give each thread a run of whole chunks."""
    if threads <= 1:
        rate(0, number)
        return
    run = -(-number // (threads * step)) * step
    with ThreadPoolExecutor(threads, thread_name_prefix="odin") as pool:
        for done in [pool.submit(rate, start, min(start + run, number)) for start in range(0, number, run)]:
            done.result()


def _below(edge: float) -> np.float32:
    """The float32 at or below a number."""
    with np.errstate(over="ignore"):
        rounded = np.float32(edge)
    return rounded if float(rounded) <= edge else np.nextafter(rounded, np.float32(-np.inf))
