"""Units that say the same: pairs of high correlation, and exact duplicates."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.slab import Slabs, blocks, checked
from odin_graph.analysis.units.stats import not_finite
from odin_graph.analysis.units.table import UnitTable, counted
from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.served import travels

MOST: Final = 1_000_000
"""Pairs: more are refused, since nobody reads them and they may be half the square of the units."""
_STRIP: Final = 2**26
"""Bytes of the rows that are multiplied with others at once; a few such strips are in memory, and their product."""
_ROWS: Final = 2**12
"""The most rows of a strip: the product of two strips has the square of that."""
_CELLS: Final = 2**18
"""Values as float64 that are worked on at once."""
_MEMORY: Final = 2**30
"""Bytes of units in memory; the rest goes to a file."""
_LEAST: Final = 3


@travels
@dataclass(frozen=True, eq=False, repr=False)
class SimilarUnits(UnitTable):
    """Pairs of units whose values correlate, the highest first: ``unit``, ``other`` and Pearson's ``r``.

    Exact duplicates are told apart in ``duplicates``; only the first of each takes part in the pairs.
    """

    threshold: float
    units: int
    """How many were looked at."""
    duplicates: tuple[tuple[int, ...], ...]
    """Groups of units that have exactly equal values for every image, the largest group first."""
    constant: NDArray[np.int64]
    """Units that are the same for every image, which correlate with nothing."""
    not_finite: NDArray[np.int64]
    """Units that are left out because a value is no finite number."""

    def _head(self) -> str:
        return (
            f"{counted(len(self), 'pair')} of {counted(self.units, 'unit')} with |r| >= {self.threshold:g} over "
            f"{counted(self.images, 'image')}; {counted(len(self.duplicates), 'group')} of duplicates"
        )

    def _notes(self) -> list[str]:
        notes = super()._notes()
        for group in self.duplicates[:3]:
            notes.append(f"- exactly equal: {', '.join(map(str, group[:12]))}{' ...' if len(group) > 12 else ''}")
        for why, left in (("constant", self.constant), ("not finite for every image", self.not_finite)):
            notes += [f"- left out: {counted(len(left), 'unit')}, {why}"] if len(left) else []
        return notes


def similar_units(
    slabs: Slabs, threshold: float = 0.95, *, folder: Path | None = None, memory: int = _MEMORY
) -> SimilarUnits:
    """Pairs of units with ``|r| >= threshold``, exactly as in float64; and duplicates.

    All pairs are looked at, so time goes with the square of the units: 2,048 over 60,000 images take seconds. Values
    beyond ``memory`` wait in a temporary file of 4 bytes each.

    Args:
        slabs: Units over all images.
        threshold: Above 0, at most 1.
        folder: Where the temporary file goes; by default the system's.
        memory: Bytes of values that stay in memory.

    Raises:
        QueryError: There is no unit, fewer than 3 images, a threshold of another size, or a million pairs are beyond
            it.
        ShapeError: Slabs of different images.
    """
    if not isinstance(threshold, int | float | np.number) or not 0 < threshold <= 1:
        raise QueryError(f"Correlations are compared with a threshold above 0, at most 1, not {threshold!r}.")
    with ExitStack() as stack:
        distinct = _DistinctUnits(stack, folder, memory)
        for slab in checked(slabs):
            if slab.values.shape[1] < _LEAST:
                raise QueryError(
                    f"Two units always correlate over {slab.values.shape[1]} images: ask about {_LEAST} at least."
                )
            for units, values in blocks(slab):
                distinct.add(units, values)
        pairs = _pairs(distinct, threshold)
    numbers = np.array(distinct.units, np.int64)
    first, second = np.sort(numbers[pairs[0]].reshape(2, -1), axis=0)
    order = np.lexsort((second, first, -np.abs(pairs[1])))
    groups = sorted(
        (tuple(sorted(group)) for group in distinct.equal.values() if len(group) > 1), key=lambda g: (-len(g), g)
    )
    return SimilarUnits(
        pa.table({"unit": first[order], "other": second[order], "r": pairs[1][order]}),
        distinct.images,
        threshold=threshold,
        units=distinct.seen,
        duplicates=tuple(groups),
        constant=np.array(distinct.constant, np.int64),
        not_finite=np.array(distinct.not_finite, np.int64),
    )


class _DistinctUnits:
    """Values of distinct units that vary, in memory or beyond that in a file."""

    def __init__(self, stack: ExitStack, folder: Path | None, memory: int) -> None:
        self._stack, self._folder, self._memory = stack, folder, memory
        self._pending: list[NDArray[np.float32]] = []
        self._rows: list[NDArray[np.float32]] = []
        self._means: list[NDArray[np.float64]] = []
        self._lengths: list[NDArray[np.float64]] = []
        self._file: Any = None
        self.units: list[int] = []
        self.equal: dict[bytes, list[int]] = {}
        self.constant: list[int] = []
        self.not_finite: list[int] = []
        self.seen = self.images = 0

    def add(self, units: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        self.images = values.shape[1]
        self.seen += len(units)
        finite = not_finite(values)
        whole = np.ones(len(units), bool) if finite is None else finite.all(axis=1)
        varied = values.max(axis=1) != values.min(axis=1)
        self.not_finite += units[~whole].tolist()
        self.constant += units[whole & ~varied].tolist()
        kept = []
        for row in np.flatnonzero(whole & varied):
            digest = blake2b(values[row] + np.float32(0), digest_size=16).digest()  # -0 equals 0
            group = self.equal.setdefault(digest, [])
            group.append(int(units[row]))
            if len(group) == 1:
                kept.append(row)
        self.units += units[kept].tolist()
        self._keep(values[kept])

    def _keep(self, rows: NDArray[np.float32]) -> None:
        wide = rows.astype(np.float64)
        mean = wide.mean(axis=1)
        wide -= mean[:, None]
        self._means.append(mean)
        self._lengths.append(np.sqrt(np.einsum("un,un->u", wide, wide)))
        for first in range(0, len(rows), self._size):
            self._pending.append(rows[first : first + self._size])
            if sum(map(len, self._pending)) >= self._size:
                self._flush()

    def _flush(self) -> None:
        rows, self._pending = np.concatenate([np.empty((0, self.images), np.float32), *self._pending]), []
        self._memory -= rows.nbytes
        if self._memory >= 0:
            self._rows.append(rows)
            return
        if self._file is None:
            self._file = self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115
        rows.tofile(self._file)

    @property
    def _size(self) -> int:
        """Rows of a strip."""
        return min(_ROWS, max(1, _STRIP // (4 * self.images)))

    def strips(self) -> list[_Strip]:
        """Some rows at a time; those in the file are mapped, not read."""
        self._flush()
        parts: list[NDArray[np.float32]] = [*self._rows]
        if self._file is not None and self._file.tell():
            self._file.flush()
            mapped = np.memmap(self._file, np.float32, "r").reshape(-1, self.images)
            parts += [mapped[first : first + self._size] for first in range(0, len(mapped), self._size)]
        means, lengths = np.concatenate([np.empty(0), *self._means]), np.concatenate([np.empty(0), *self._lengths])
        ends = np.cumsum([len(part) for part in parts])
        return [
            _Strip(int(end) - len(part), part, means[end - len(part) : end], lengths[end - len(part) : end])
            for part, end in zip(parts, ends, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Strip:
    """Some rows (u, n), the place of the first among all, and their means and lengths about them (u,)."""

    first: int
    rows: NDArray[np.float32]
    means: NDArray[np.float64]
    lengths: NDArray[np.float64]

    def unit(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Some rows, less their means and scaled to length 1."""
        wide = self.rows[places].astype(np.float64)
        wide -= self.means[places, None]
        wide /= self.lengths[places, None]
        return wide

    def short(self) -> NDArray[np.float32]:
        """All as float32: a few at a time, so that what is between stays in the cache."""
        found = np.empty(self.rows.shape, np.float32)
        few = max(1, _CELLS // self.rows.shape[1])
        for first in range(0, len(found), few):
            places = np.arange(first, min(first + few, len(found)))
            found[places] = self.unit(places)
        return found


def _pairs(distinct: _DistinctUnits, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Places (2, p) and r (p,) of all pairs: float32 finds those that may be, float64 decides."""
    # A sum of n products of rows of length 1, in whatever order, is off by n roundings of their sizes at most.
    spare = (distinct.images + 8) * float(np.finfo(np.float32).eps)
    strips = distinct.strips()
    places, found, number = [np.empty((2, 0), np.int64)], [np.empty(0)], 0
    for at, strip in enumerate(strips):
        short = strip.short()
        for other in strips[: at + 1]:
            check()
            near = np.abs(short @ (short if other is strip else other.short()).T) >= threshold - spare
            if other is strip:
                near = np.triu(near, 1)
            left_rows, right_rows = np.nonzero(near)
            r = _products(strip, other, left_rows, right_rows)
            decided = np.abs(r) >= threshold
            number += int(decided.sum())
            if number > MOST:
                raise QueryError(
                    f"More than {MOST:,} pairs of units have |r| >= {threshold:g}: raise the threshold, or ask about "
                    "fewer units."
                )
            places.append(np.stack([left_rows[decided] + strip.first, right_rows[decided] + other.first]))
            found.append(r[decided])
    return np.concatenate(places, axis=1), np.concatenate(found)


def _products(
    left: _Strip, right: _Strip, left_rows: NDArray[np.int64], right_rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Pearson's r of pairs of rows, in float64; within -1 and 1."""
    if not len(left_rows):
        return np.empty(0)
    (of_left, at_left), (of_right, at_right) = (
        np.unique(rows, return_inverse=True) for rows in (left_rows, right_rows)
    )
    a, b = left.unit(of_left), right.unit(of_right)
    few = max(1, _CELLS // a.shape[1])
    parts = [
        np.einsum("pn,pn->p", a[at_left[first : first + few]], b[at_right[first : first + few]])
        for first in range(0, len(left_rows), few)
    ]
    found: NDArray[np.float64] = np.clip(np.concatenate(parts), -1, 1)
    return found
