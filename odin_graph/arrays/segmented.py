"""An array as its users see it: rows by key, whatever segments hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.keys import Keys
from odin_graph.arrays.store import ArrayStore
from odin_graph.errors import ShapeError, StoreError


class SegmentedArray:
    """The union of segments of one array.

    Args:
        store: Where they are.
        segments: In the order in which they were written: of a key that is there twice, the last row counts.
    """

    def __init__(self, store: ArrayStore, segments: Sequence[SegmentInfo]) -> None:
        self._store = store
        self._segments = tuple(segments)

    def coverage(self) -> Keys:
        """All keys (n,) that have a row, sorted."""
        if not self._segments:
            return np.empty(0, np.int64)
        return np.unique(np.concatenate([self._store.keys(info) for info in self._segments]))

    def missing(self, keys: Keys) -> Keys:
        """Those of ``keys`` that have no row, in their order."""
        missing: Keys = np.asarray(keys, np.int64)[~np.isin(keys, self.coverage())]
        return missing

    def read(self, keys: Keys) -> NDArray[Any]:
        """Rows (n, ...) of one shape and dtype, in the order of ``keys``, which may repeat.

        Raises:
            StoreError: A key has no row.
            ShapeError: The rows differ in shape or dtype.
        """
        parts = list(self._parts(np.asarray(keys, np.int64)))
        kinds = {(info.codec, info.dtype, info.shape) for info, _, _ in parts}
        if len(kinds) == 1 and parts[0][0].codec == "dense":
            if len(parts) == 1:
                return self._store.read(parts[0][0], parts[0][2])
            first = parts[0][0]
            rows = np.empty((len(keys), *first.shape), np.dtype(first.dtype))
            for info, asked, positions in parts:
                rows[asked] = self._store.read(info, positions)
            return rows
        listed = self.read_list(keys)
        if len({(row.shape, row.dtype) for row in listed}) > 1:
            raise ShapeError("The rows differ in shape or dtype: read them as a list.")
        if listed:
            return np.stack(listed)
        return np.empty((0, *(self._segments[0].shape if self._segments else ())))

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """Rows of any shapes and dtypes, in the order of ``keys``, which may repeat."""
        rows: list[Any] = [None] * len(keys)
        for info, asked, positions in self._parts(np.asarray(keys, np.int64)):
            for place, row in zip(asked.tolist(), self._store.read_list(info, positions), strict=True):
                rows[place] = row
        return rows

    def _parts(self, keys: Keys) -> Iterator[tuple[SegmentInfo, NDArray[np.int64], NDArray[np.int64]]]:
        """For each segment that holds some: the places in ``keys``, and the positions in the segment."""
        open_ = np.arange(len(keys))
        for info in reversed(self._segments):
            if not len(open_):
                return
            asked = keys[open_]
            if asked.max() < info.min_key or asked.min() > info.max_key:
                continue
            held = self._store.keys(info)
            positions = np.searchsorted(held, asked)
            found = held[np.minimum(positions, len(held) - 1)] == asked
            if found.any():
                yield info, open_[found], positions[found]
                open_ = open_[~found]
        if len(open_):
            listed = ", ".join(map(str, keys[open_[:5]].tolist()))
            raise StoreError(f"{len(open_)} keys have no row in this array, the first: {listed}. Run `odin doctor`.")
