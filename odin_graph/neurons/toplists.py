"""The few images at both ends of each unit, kept, so that what drives a unit is answered at once.

A list of each segment is made while it is stored, from slabs of units; lists of several segments are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import ConflictError, QueryError, StoreError
from odin_graph.neurons.block import Floats, Keys

KEPT: Final = 100
"""Images at each end."""
_DEEP: Final = 32
_WIDE: Final = 4
"""Values of which only the smallest is looked at first, and how many such are worth it for each that is wanted."""
NO_KEY: Final = -1
"""Fills the lists of units that have fewer values."""


@dataclass(frozen=True, eq=False)
class TopLists:
    """Of each of U units the images with the largest and the smallest values, ties by key; missing ones are in none."""

    top_keys: Keys
    """(U, m), largest first; `NO_KEY` after the last."""
    top_values: NDArray[np.float32]
    """(U, m); NaN after the last."""
    bottom_keys: Keys
    """(U, m), smallest first."""
    bottom_values: NDArray[np.float32]
    present: NDArray[np.int64]
    """(U,): images that have a value."""

    @classmethod
    def build(cls, keys: Keys, slabs: Iterable[NDArray[Any]], kept: int = KEPT) -> Self:
        """From slabs (g, n) of one unit after the other, of any float type, over n images by sorted keys."""
        ends: list[list[NDArray[Any]]] = [[], [], [], []]
        present: list[int] = []
        for slab in slabs:
            check()
            for row in slab.astype(np.float32, copy=False):
                top, bottom = _first(-row, kept), _first(row, kept)
                for rows, found in zip(ends, (keys[top], row[top], keys[bottom], row[bottom]), strict=True):
                    rows.append(found)
                present.append(len(row) - int(np.isnan(row).sum()))
        width = max((len(row) for row in ends[0]), default=0)
        top_keys, top_values, bottom_keys, bottom_values = (_padded(rows, width) for rows in ends)
        return cls(top_keys, top_values, bottom_keys, bottom_values, np.array(present, np.int64))

    @classmethod
    def merged(cls, lists: Sequence[Self], kept: int = KEPT) -> Self:
        """Merge the lists of several segments, which share no image.

        Raises:
            ConflictError: They are of different units.
        """
        if len({len(part.present) for part in lists}) != 1:
            raise ConflictError("Lists of different numbers of units, or none at all, cannot be merged.")
        top = _merged([(part.top_keys, part.top_values) for part in lists], kept, -1)
        bottom = _merged([(part.bottom_keys, part.bottom_values) for part in lists], kept, 1)
        present: NDArray[np.int64] = np.sum([part.present for part in lists], axis=0, dtype=np.int64)
        return cls(*top, *bottom, present)

    def first(
        self, unit: int, k: int, *, largest: bool = True, among: Keys | None = None
    ) -> tuple[Keys, Floats] | None:
        """Keys and values of the k images with the largest or smallest values of a unit; fewer where fewer have one.

        Args:
            unit: Its number.
            k: At least 1.
            largest: Which end.
            among: Sorted keys that pass.

        Returns:
            None where the list is too short to know.

        Raises:
            QueryError: k is below 1, or there is no such unit.
        """
        if k < 1:
            raise QueryError(f"k is the number of images, at least 1, not {k}.")
        if not 0 <= unit < len(self.present):
            raise QueryError(f"There is no unit {unit}: they are numbered 0 to {len(self.present) - 1}.")
        keys = (self.top_keys if largest else self.bottom_keys)[unit]
        values = (self.top_values if largest else self.bottom_values)[unit]
        valid = keys != NO_KEY
        whole = int(valid.sum()) == self.present[unit]
        if among is not None:
            valid &= np.isin(keys, among, kind="sort")
        if valid.sum() < k and not whole:
            return None
        return keys[valid][:k], values[valid][:k].astype(np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to store, by name."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def of_arrays(cls, stored: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `arrays` gave.

        Raises:
            StoreError: An array is missing.
        """
        if lacking := [name for name in _NAMES if name not in stored]:
            raise StoreError(f"Kept lists lack {', '.join(lacking)}: they are built again from their segment.")
        return cls(*(np.asarray(stored[name]) for name in _NAMES))


_NAMES: Final = ("top_keys", "top_values", "bottom_keys", "bottom_values", "present")


def _first(row: NDArray[np.float32], kept: int) -> NDArray[np.int64]:
    """Positions of the smallest values, ties by position; NaN is none of them."""
    columns = len(row) // _DEEP
    if columns > _WIDE * kept:  # at least as many columns as are wanted reach the edge, so none beyond it is
        rough = np.partition(row[: _DEEP * columns].reshape(_DEEP, columns).min(axis=0), kept - 1)[kept - 1]
        if not np.isnan(rough):
            near = np.flatnonzero(row <= rough)
            found: NDArray[np.int64] = near[_smallest(row[near], kept)]
            return found
    return _smallest(row, kept)


def _smallest(row: NDArray[np.float32], kept: int) -> NDArray[np.int64]:
    if len(row) > kept:
        edge = np.partition(row, kept - 1)[kept - 1]  # NaN goes last
        if not np.isnan(edge):
            below = np.flatnonzero(row < edge)
            at = np.concatenate([below, np.flatnonzero(row == edge)[: kept - len(below)]])
            return at[np.lexsort((at, row[at]))]
    at = np.flatnonzero(~np.isnan(row))
    ordered: NDArray[np.int64] = at[np.lexsort((at, row[at]))][:kept]
    return ordered


def _padded(rows: Sequence[NDArray[Any]], width: int) -> NDArray[Any]:
    """Rows of any length, as one array."""
    floats = bool(rows) and rows[0].dtype.kind == "f"
    made = np.full((len(rows), width), np.nan if floats else NO_KEY, np.float32 if floats else np.int64)
    for place, row in enumerate(rows):
        made[place, : len(row)] = row
    return made


def _merged(
    lists: Sequence[tuple[Keys, NDArray[np.float32]]], kept: int, sign: int
) -> tuple[Keys, NDArray[np.float32]]:
    keys = np.concatenate([part for part, _ in lists], axis=1)
    values = np.concatenate([part for _, part in lists], axis=1)
    order = np.lexsort((keys, sign * values), axis=1)[:, :kept]
    return np.take_along_axis(keys, order, axis=1), np.take_along_axis(values, order, axis=1)
