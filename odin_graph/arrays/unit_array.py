"""Units as their users see them: columns by unit over all segments of a set; of a key, the last segment counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import codes, units
from odin_graph.arrays.keys import Keys
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray
from odin_graph.arrays.store import ArrayStore
from odin_graph.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Columns:
    """The activations of a group of G units for the n images of one segment, as stored."""

    keys: Keys
    """(n,) sorted, distinct."""
    values: NDArray[Any]
    """(G, n) uint8 codes, float16 or float32; row g is unit g of the group."""
    read_scales: Callable[[], NDArray[np.float64]]
    """Called when needed: captured float32 needs no scales, and reading them takes longer than cached columns."""

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """(G, 6): see `units.Slab`."""
        return self.read_scales()

    def tables(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For codes: the least and the largest value (G, 256) of each code."""
        return codes.tables(self.scales, self.scales[:, units.SLACK])

    def decoded(self) -> NDArray[np.float32]:
        """For float columns: the values (G, n)."""
        captured: bool = self.values.dtype == np.float32
        return self.values if captured else units.decoded(self.values, self.scales)


class UnitArray:
    """The union of segments of units of one set.

    Args:
        store: Where they are.
        segments: In the order in which they were written: of a key that is stored twice, the last row counts.
    """

    def __init__(self, store: ArrayStore, segments: Sequence[SegmentInfo]) -> None:
        self._store = store
        self.segments = tuple(segments)
        self._rows = SegmentedArray(store, segments)

    @property
    def units(self) -> int:
        """How many there are; 0 without a segment."""
        return self.segments[0].shape[0] if self.segments else 0

    def cold(self, group: NDArray[np.int64]) -> int:
        """The number of units of a group whose decoded columns are not cached; the largest number of all segments."""
        return max((self._store.units.cold(info, group) for info in self.segments), default=0)

    def coverage(self) -> Keys:
        """All keys (n,) that have activations, sorted."""
        return self._rows.coverage()

    def missing(self, keys: Keys) -> Keys:
        """Those of ``keys`` that no segment covers, in their order."""
        return self._rows.missing(keys)

    def blocks(self, group: NDArray[np.int64], *, keep: bool = True) -> Iterator[Columns]:
        """The activations of a group of units, segment by segment.

        Args:
            group: Their numbers, in any order.
            keep: Keep the columns decoded for the next time.

        Raises:
            QueryError: There is no such unit.
        """
        group = np.asarray(group, np.int64)
        later: list[Keys] = []
        found: list[Columns] = []
        for info in reversed(self.segments):
            keys = self._store.keys(info)
            values = self._store.units.columns(info, group, keep=keep)
            if later and (again := np.isin(keys, np.concatenate(later))).any():
                values, keys_left = np.ascontiguousarray(values[:, ~again]), keys[~again]
            else:
                keys_left = keys
            if len(keys_left):
                found.append(Columns(keys_left, values, partial(self._store.units.scales, info, group)))
            later.append(keys)
        yield from reversed(found)

    def values(self, group: NDArray[np.int64], keys: Keys) -> NDArray[np.float32]:
        """Float columns: the activations of images, (n, G) in the order of ``keys``, which may repeat.

        Raises:
            ShapeError: Codes are stored instead of values.
            StoreError: A key is not covered.
            QueryError: There is no such unit.
        """
        group, keys = np.asarray(group, np.int64), np.asarray(keys, np.int64)
        found = np.empty((len(keys), len(group)), np.float32)
        for info, places, positions in self._rows.parts(keys):
            if info.dtype == units.DTYPES["u8"]:
                raise ShapeError(f"{info.array} has codes, not values: read its blocks.")
            columns = self._store.units.columns(info, group)[:, positions]
            stored = Columns(keys[places], columns, partial(self._store.units.scales, info, group))
            found[places] = stored.decoded().T
        return found

    def noise(self, group: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far a value may differ when the model is run again, the most of all segments (G,)."""
        group = np.asarray(group, np.int64)
        noises = [self._store.units.scales(info, group)[:, -1] for info in self.segments]
        return np.max(noises, axis=0) if noises else np.zeros(len(group))

    def error(self, group: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far a float column's value may differ from the captured one, the most of all segments (G,)."""
        group = np.asarray(group, np.int64)
        errors = [
            units.error("f16" if info.dtype == units.DTYPES["f16"] else "f32", self._store.units.scales(info, group))
            for info in self.segments
        ]
        return np.max(errors, axis=0) if errors else np.zeros(len(group))

    def not_finite(self) -> tuple[int, int]:
        """How many NaN and how many infinities are stored, of all units."""
        counts = [self._store.units.scales(info)[:, 2:4].sum(axis=0) for info in self.segments]
        nans, infinities = np.sum(counts, axis=0) if counts else (0, 0)
        return int(nans), int(infinities)
