"""A question to a group of units, and the images that may be in its answer.

This is the first phase of the VA-file (Weber, Schek, Blott, VLDB 1998). It has two passes here: a sketch of all images
by straight lines, in float32, leaves a few hundred, of which the tables of intervals are read in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ShapeError, StoreError
from odin_graph.neurons.block import Block, Exact, Floats, Keys, Part
from odin_graph.neurons.bounds import Bounds, bounds_at, intervals
from odin_graph.neurons.filtering import FilteredPart, positions, select
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.sketch_bounds import SketchBounds, largest, sketch_of
from odin_graph.neurons.verification import ExactValues, ReadExact


class Request:
    """A checked question, with the images that pass its filters."""

    def __init__(
        self,
        parts: Sequence[Part],
        measure: Measure,
        among: Keys | None = None,
        exclude: Keys | None = None,
        exact: Exact | None = None,
        noise: NDArray[Any] | None = None,
        threads: int = 1,
    ) -> None:
        self.measure, self.threads = measure, threads
        self.parts, self.uncovered = select(parts, among, exclude)
        self.units = one_size(parts, measure, noise)
        self._exact = exact
        # A little more, since the noise was measured by differences, which are rounded.
        self._noise = None if noise is None else np.asarray(noise, np.float64)[:, None] * (1 + 2.0**-40)

    @property
    def strict(self) -> bool:
        """Whether exact values are the captured ones."""
        return self._noise is None

    @property
    def images(self) -> int:
        """Images that pass."""
        return sum(len(passing) for passing in self.parts)

    def candidates(self, k: int, sign: int) -> Bounds:
        """Bounds, of sign * value, of images that may be among the k largest; all others are surely not."""
        sketched: list[tuple[FilteredPart, SketchBounds]] = []
        tight: list[Bounds] = []
        for passing in self.parts:
            sketch = sketch_of(passing, self.measure) if k < self.images else None
            if sketch is None:
                tight.append(self._tight(passing, sign))
            else:
                sketched.append((passing, SketchBounds(passing, sketch, sign, self.threads)))
        if sketched:
            edge = self._edge(k, sketched, tight)
            tight += [self._tight(passing, sign, rough.reaching(edge)) for passing, rough in sketched]
        return kept(Bounds.joined(tight), k)

    def _edge(self, k: int, sketched: Sequence[tuple[FilteredPart, SketchBounds]], tight: Sequence[Bounds]) -> float:
        """A value that k images surely reach."""
        ends = [rough.best_low(k) for _, rough in sketched] + [bounds.low[~np.isnan(bounds.low)] for bounds in tight]
        every = np.concatenate(ends)
        return float(np.partition(every, len(every) - k)[len(every) - k]) if len(every) >= k else -np.inf

    def _tight(self, passing: FilteredPart, sign: int, at: NDArray[np.int64] | None = None) -> Bounds:
        found = bounds_at(passing, self.measure, at)
        return found if sign > 0 else found.negative()

    def read_exact(self, sign: int) -> ReadExact:
        """Exact values, of sign * value."""

        def read(keys: Keys) -> ExactValues:
            if self._exact is None:
                raise StoreError(
                    f"Codes alone do not decide between {len(keys)} images, and nothing gives their exact values: ask "
                    "for an estimate, or store float columns."
                )
            rows = np.asarray(self._exact(keys))
            if rows.shape != (len(keys), self.units):
                raise ShapeError(
                    f"Exact values of {len(keys)} images and {self.units} units are ({len(keys)}, {self.units}), not "
                    f"{rows.shape}."
                )
            columns = np.ascontiguousarray(rows.T)
            if self._noise is None:
                value = sign * self.measure(columns)
                return ExactValues(value, value, value)
            wide = columns.astype(np.float64)
            low, high, beyond = self._near(keys, wide)
            value = sign * self.measure(np.clip(wide, low, high))
            with np.errstate(invalid="ignore", over="ignore"):
                ends = self.measure.box(low, high)  # an infinite unit stays as it is, and others may decide
            least, most = ends if sign > 0 else (-ends[1], -ends[0])
            still = ~np.isfinite(value) & ~np.isfinite(wide).all(axis=0)
            return ExactValues(value, np.where(still, value, least), np.where(still, value, most), beyond)

        return read

    def _near(self, keys: Keys, again: Floats) -> tuple[Floats, Floats, int]:
        """Bounds of captured units (G, n): near the values run again, within their codes' intervals where these meet.

        Also the number of images where they do not meet.
        """
        assert self._noise is not None
        low, high = again - self._noise, again + self._noise
        beyond = np.zeros(len(keys), np.bool_)
        for passing in self.parts:
            if isinstance(passing.part, Block):
                at, present = positions(passing.part.keys, keys)
                least, most = intervals(passing.part, at)
                least, most = np.fmax(low[:, present], least), np.fmin(high[:, present], most)
                apart = least > most
                beyond[present] = apart.any(axis=0)
                low[:, present], high[:, present] = (
                    np.where(apart, low[:, present], least),
                    np.where(apart, high[:, present], most),
                )
        return low, high, int(beyond.sum())


def kept(found: Bounds, k: int) -> Bounds:
    """Drop images that k others surely come before, by value or by key."""
    if len(found.keys) <= k:
        return found
    gone = np.isnan(found.low)
    low = np.where(gone, -np.inf, found.low) if gone.any() else found.low
    edge = largest(low, k).min()
    if edge == -np.inf:
        return found
    with np.errstate(invalid="ignore"):
        at = np.flatnonzero(found.high >= edge)
    found, low = found.take(at), low[at]
    equal = low == edge
    wanted = k - int((low > edge).sum())
    last = np.partition(found.keys[equal], wanted - 1)[wanted - 1]
    return found.take((found.high > edge) | (found.keys <= last))


def one_size(parts: Sequence[Part], measure: Measure, noise: NDArray[Any] | None) -> int:
    """The number of units G that all agree on.

    Raises:
        ShapeError: They do not.
    """
    sizes = {part.units for part in parts}
    if measure.units is not None:
        sizes.add(measure.units)
    if noise is not None:
        sizes.add(len(noise))
    if len(sizes) > 1:
        raise ShapeError(f"Parts, weights, query and noise are of the same units, not of {sorted(sizes)}.")
    return sizes.pop() if sizes else 0
