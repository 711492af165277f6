"""An array as its users see it: rows by key, from any number of segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.boxes import read_box
from odin_graph.arrays.keys import Keys
from odin_graph.arrays.segment import LASTING, SegmentInfo
from odin_graph.arrays.store import ArrayStore
from odin_graph.errors import QueryError, ShapeError, StoreError

_SHARE: Final = 4
"""Huge images are read whole where together they take a quarter of the budget at most."""
_SMALL: Final = 1 << 20
"""Bytes of a row that is read whole and then cut: many small ones are read together."""


P = ParamSpec("P")
R = TypeVar("R")


def _again_if_replaced(
    read: Callable[Concatenate[SegmentedArray, P], R],
) -> Callable[Concatenate[SegmentedArray, P], R]:
    """Read again if segments were replaced since they were listed: a compaction removes what it has replaced."""

    @wraps(read)
    def wrapper(self: SegmentedArray, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return read(self, *args, **kwargs)
        except StoreError:
            if not self._relist():
                raise
            return read(self, *args, **kwargs)

    return wrapper


@dataclass(frozen=True, slots=True)
class StoredRows:
    """A huge image in its segment, read by rows: see `tiled.Rows`."""

    store: ArrayStore
    info: SegmentInfo

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        height, width, bands = self.info.shape
        return height, width, bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return np.dtype(self.info.dtype)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        return self.store.read_box(self.info, 0, (0, first, self.info.shape[1], end))


class SegmentedArray:
    """The union of segments of one array.

    Args:
        store: Where they are.
        segments: In the order in which they were written: of a key that is stored twice, the last row counts.
        listed: Lists the current segments, for reads over a longer time; None where they never change.
        named: What the rows of keys are, as in "image 'scan-3' (key 17)", for messages.
    """

    def __init__(
        self,
        store: ArrayStore,
        segments: Sequence[SegmentInfo],
        listed: Callable[[], Sequence[SegmentInfo]] | None = None,
        named: Callable[[Keys], str] | None = None,
    ) -> None:
        self._store = store
        self._segments = tuple(segments)
        self._listed = listed
        self._named = named

    def __getstate__(self) -> dict[str, Any]:
        """In another process the segments stay the same: what lists them has connections, which cannot be pickled."""
        return {**vars(self), "_listed": None, "_named": None}

    def _relist(self) -> bool:
        """List the segments again; whether they have changed."""
        previous = self._segments
        if self._listed is not None:
            self._segments = tuple(self._listed())
        return self._segments != previous

    @_again_if_replaced
    def coverage(self) -> Keys:
        """All keys (n,) that have a row, sorted."""
        if len(self._segments) == 1:
            return self._store.keys(self._segments[0])
        return np.unique(np.concatenate([np.empty(0, np.int64), *map(self._store.keys, self._segments)]))

    @_again_if_replaced
    def missing(self, keys: Keys) -> Keys:
        """Those of ``keys`` that have no row, in their order."""
        missing: Keys = np.asarray(keys, np.int64)[~np.isin(keys, self.coverage())]
        return missing

    @_again_if_replaced
    def read(self, keys: Keys) -> NDArray[Any]:
        """Rows (n, ...) of one shape and dtype, in the order of ``keys``, which may repeat.

        Raises:
            StoreError: A key has no row.
            ShapeError: The rows differ in shape or dtype.
            QueryError: Huge images among them are more than fits in memory.
        """
        keys = np.asarray(keys, np.int64)
        if not len(keys):
            return self._nothing()
        parts = list(self.parts(keys))
        self._check_memory(parts)
        if len(parts) == 1 and parts[0][0].codec == "dense":
            info, _, positions = parts[0]
            with self._naming_rows(keys):
                return self._store.read(info, positions)
        rows: NDArray[Any] | None = None
        for info, places, positions in parts:
            with self._naming_rows(keys[places]):
                part = self._uniform(info, positions)
            if rows is None:
                rows = np.empty((len(keys), *part.shape[1:]), part.dtype)
            if (part.shape[1:], part.dtype) != (rows.shape[1:], rows.dtype):
                raise ShapeError(
                    f"The rows of {info.array} differ: {rows.dtype} of shape {rows.shape[1:]}, and {part.dtype} of "
                    f"shape {part.shape[1:]}. Read them as a list, or ask for those of one shape."
                )
            rows[places] = part
        assert rows is not None
        return rows

    @_again_if_replaced
    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """Rows of any shapes and dtypes, in the order of ``keys``, which may repeat.

        Raises:
            StoreError: A key has no row.
            QueryError: Huge images among them are more than fits in memory.
        """
        keys = np.asarray(keys, np.int64)
        rows: list[Any] = [None] * len(keys)
        parts = list(self.parts(keys))
        self._check_memory(parts)
        for info, places, positions in parts:
            with self._naming_rows(keys[places]):
                found = self._store.read_list(info, positions)
            for place, row in zip(places.tolist(), found, strict=True):
                rows[place] = row
        return rows

    @_again_if_replaced
    def read_together(self, keys: Keys) -> NDArray[Any] | list[NDArray[Any]]:
        """As `read_list`; one array (n, ...) where a dense segment has all of them, which saves a copy."""
        parts = list(self.parts(np.asarray(keys, np.int64)))
        if len(parts) == 1 and parts[0][0].codec == "dense":
            with self._naming_rows(keys):
                return self._store.read(parts[0][0], parts[0][2])
        return self.read_list(keys)

    @_again_if_replaced
    def read_boxes(self, keys: Keys, boxes: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """A box (left, top, right, bottom) of each image (h, w, bands), in the order of ``keys``, which may repeat.

        Of huge images only the tiles that hold the box are read, of other large ones its rows.

        Raises:
            StoreError: A key has no row.
            ShapeError: A box is empty, or reaches outside of its image.
        """
        keys = np.asarray(keys, np.int64)
        found: list[Any] = [None] * len(keys)
        for info, places, positions in self.parts(keys):
            with self._naming_rows(keys[places]):
                if info.codec == "dense" and info.row_bytes <= _SMALL:
                    rows = self._store.read(info, positions)
                    for place, row in zip(places.tolist(), rows, strict=True):
                        left, top, right, bottom = read_box(boxes[place], row.shape)
                        found[place] = row[top:bottom, left:right].copy()
                else:
                    for place, position in zip(places.tolist(), positions.tolist(), strict=True):
                        found[place] = self._store.read_box(info, position, boxes[place])
        return found

    @_again_if_replaced
    def shapes(self, keys: Keys) -> list[tuple[int, ...]]:
        """The shapes of rows, without reading them, in the order of ``keys``."""
        keys = np.asarray(keys, np.int64)
        found: list[Any] = [None] * len(keys)
        for info, places, positions in self.parts(keys):
            with self._naming_rows(keys[places]):
                shapes = self._store.shapes(info, positions)
            for place, shape in zip(places.tolist(), shapes, strict=True):
                found[place] = shape
        return found

    def huge(self) -> Keys:
        """The keys of the images that have a segment of their own, sorted."""
        return np.array(sorted(info.min_key for info in self._segments if info.codec == "tiled"), np.int64)

    @_again_if_replaced
    def read_displayed(self, keys: Keys) -> list[NDArray[Any]]:
        """As `read_list`, for display: huge images are made smaller by averaging."""
        keys = np.asarray(keys, np.int64)
        found: list[Any] = [None] * len(keys)
        for info, places, positions in self.parts(keys):
            with self._naming_rows(keys[places]):
                if info.codec == "tiled":
                    rows = [self._store.read_overview(info)] * len(places)
                else:
                    rows = self._store.read_list(info, positions)
            for place, row in zip(places.tolist(), rows, strict=True):
                found[place] = row
        return found

    @_again_if_replaced
    def read_lazily(self, keys: Keys) -> list[NDArray[Any] | StoredRows]:
        """As `read_list`, with huge images as `StoredRows`."""
        keys = np.asarray(keys, np.int64)
        found: list[Any] = [None] * len(keys)
        for info, places, positions in self.parts(keys):
            with self._naming_rows(keys[places]):
                tiled = info.codec == "tiled"
                rows: Sequence[Any] = [StoredRows(self._store, info)] * len(places) if tiled else ()
                rows = rows or self._store.read_list(info, positions)
            for place, row in zip(places.tolist(), rows, strict=True):
                found[place] = row
        return found

    def _check_memory(self, parts: Sequence[tuple[SegmentInfo, NDArray[np.int64], NDArray[np.int64]]]) -> None:
        tiled = [(info, len(places)) for info, places, _ in parts if info.codec == "tiled"]
        needed, limit = sum(info.row_bytes * n for info, n in tiled), self._store.budget.memory // _SHARE
        if needed > limit:
            info = tiled[0][0]
            height, width, bands = info.shape
            subject = "It is" if len(tiled) == 1 else f"{len(tiled)} such images are"
            raise QueryError(
                f"The image of key {info.min_key} is huge: {height:,} x {width:,} x {bands} {info.dtype}. {subject} "
                f"{needed / 2**20:,.0f} MiB, and {limit / 2**20:,.0f} MiB may be read at once. Read a part of it with "
                "image.crop((left, top, right, bottom)), begin with query.crop(...), or look at image.overview."
            )

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

    def parts(self, keys: Keys) -> Iterator[tuple[SegmentInfo, NDArray[np.int64], NDArray[np.int64]]]:
        """For each segment with some of the keys: their places in ``keys``, and their positions in the segment."""
        rest, unreadable = np.arange(len(keys)), None
        for info in reversed(self._segments):
            if not len(rest):
                return
            wanted = keys[rest]
            if not info.rows or wanted.max() < info.min_key or wanted.min() > info.max_key:
                continue
            try:
                stored = self._store.keys(info)
            except StoreError as error:
                if info.array not in LASTING:  # a row of it may be newer than those that can be read
                    raise
                unreadable = error
                continue
            positions = np.searchsorted(stored, wanted)
            found = stored[np.minimum(positions, len(stored) - 1)] == wanted
            if found.any():
                yield info, rest[found], positions[found]
                rest = rest[~found]
        if len(rest) and unreadable is not None:
            with self._naming_rows(keys[rest]):
                raise unreadable
        if len(rest) and self._named is not None:
            raise StoreError(
                f"There is no row in {self._array} of the {self._named(keys[rest])}: another client made it without "
                "odin_graph, or files are missing. Leave it out, delete it, or give it pixels (image.revise); "
                "`odin doctor` lists all such images."
            )
        if len(rest):
            listed = ", ".join(map(str, keys[rest[:5]].tolist()))
            raise StoreError(f"{len(rest)} keys have no row in {self._array}, the first: {listed}. Run `odin doctor`.")

    @property
    def _array(self) -> str:
        return self._segments[0].array if self._segments else "an array without segments"

    @contextmanager
    def _naming_rows(self, keys: Keys) -> Iterator[None]:
        """Name the requested rows in an error about what cannot be read."""
        try:
            yield
        except StoreError as error:
            if self._named is None:
                raise
            raise type(error)(f"The {self._array} of the {self._named(keys)} cannot be read: {error}") from error
