"""An array as its users see it: rows by key, whatever segments hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.keys import Keys
from odin_graph.arrays.segment import SegmentInfo
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
        if len(self._segments) == 1:
            return self._store.keys(self._segments[0])
        return np.unique(np.concatenate([np.empty(0, np.int64), *map(self._store.keys, self._segments)]))

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
        keys = np.asarray(keys, np.int64)
        if not len(keys):
            return self._nothing()
        parts = list(self._parts(keys))
        if len(parts) == 1 and parts[0][0].codec == "dense":
            info, _, positions = parts[0]
            return self._store.read(info, positions)
        rows: NDArray[Any] | None = None
        for info, asked, positions in parts:
            part = self._uniform(info, positions)
            if rows is None:
                rows = np.empty((len(keys), *part.shape[1:]), part.dtype)
            if (part.shape[1:], part.dtype) != (rows.shape[1:], rows.dtype):
                raise ShapeError(
                    f"The rows of {info.array} differ: {rows.dtype} of shape {rows.shape[1:]}, and {part.dtype} of "
                    f"shape {part.shape[1:]}. Read them as a list, or ask for those of one shape."
                )
            rows[asked] = part
        assert rows is not None
        return rows

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """Rows of any shapes and dtypes, in the order of ``keys``, which may repeat.

        Raises:
            StoreError: A key has no row.
        """
        rows: list[Any] = [None] * len(keys)
        for info, asked, positions in self._parts(np.asarray(keys, np.int64)):
            for place, row in zip(asked.tolist(), self._store.read_list(info, positions), strict=True):
                rows[place] = row
        return rows

    def _uniform(self, info: SegmentInfo, positions: NDArray[np.int64]) -> NDArray[Any]:
        if info.codec == "dense":
            return self._store.read(info, positions)
        listed = self._store.read_list(info, positions)
        if len(shapes := {row.shape for row in listed}) > 1:
            first, second = sorted(shapes)[:2]
            raise ShapeError(f"The rows of {info.array} differ in shape, {first} and {second}: read them as a list.")
        return np.stack(listed)

    def _nothing(self) -> NDArray[Any]:
        if not self._segments:
            return np.empty(0)
        last = self._segments[-1]
        return np.empty((0, *last.shape), np.dtype(last.dtype))

    def _parts(self, keys: Keys) -> Iterator[tuple[SegmentInfo, NDArray[np.int64], NDArray[np.int64]]]:
        """For each segment that holds some: the places in ``keys``, and the positions in the segment."""
        left = np.arange(len(keys))
        for info in reversed(self._segments):
            if not len(left):
                return
            asked = keys[left]
            if not info.rows or asked.max() < info.min_key or asked.min() > info.max_key:
                continue
            held = self._store.keys(info)
            positions = np.searchsorted(held, asked)
            found = held[np.minimum(positions, len(held) - 1)] == asked
            if found.any():
                yield info, left[found], positions[found]
                left = left[~found]
        if len(left):
            array = self._segments[0].array if self._segments else "an array without segments"
            listed = ", ".join(map(str, keys[left[:5]].tolist()))
            raise StoreError(f"{len(left)} keys have no row in {array}, the first: {listed}. Run `odin doctor`.")
