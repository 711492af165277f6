"""Segments over TileDB: a sorted key vector beside rows by position, written once and never changed.

Key is identity, position is address: a key is found by ``searchsorted`` in the key vector, a run of keys is one slice.
A segment is written under a name of its own before any node names it, so a reader never sees half of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import dense, ragged, tables, tiled
from odin_graph.arrays.boxes import read_box
from odin_graph.arrays.checking import faults
from odin_graph.arrays.contents import Contents, NewSegment, content_digest
from odin_graph.arrays.decoded import DecodedCache
from odin_graph.arrays.files import FRESH, Files, StoredFile
from odin_graph.arrays.keys import Keys, KeyVectors
from odin_graph.arrays.names import fresh_name, segment_uri
from odin_graph.arrays.segment import Codec, SegmentInfo
from odin_graph.arrays.unit_cache import UnitCache
from odin_graph.arrays.unit_store import UnitStore
from odin_graph.config import Budget
from odin_graph.errors import ShapeError, StoreError

OWNER: Final = "workspace.json"
FOLDERS: Final = ("segments", "keys", "weights", "indexes", "programs", FRESH)
"""The folders below the root, with each file or segment under a name that is never used twice."""
_FEW_RUNS: Final = 8
"""Up to so many slices are read from TileDB one by one; more are cheaper from the decoded segment."""
_SMALL: Final = 8 << 20
"""Bytes of a segment that are decoded as soon as a few slices are read."""


class ArrayStore:
    """All segments below one root. Safe to share between threads, and by a forked child.

    Args:
        root: A local folder, or ``s3://``, ``gs://``, ``azure://``.
        budget: Memory and threads.
        cache: A local folder for decoded segments, shared by processes and droppable at any time, and columns of units
            beside it; None for no cache.
    """

    def __init__(self, root: str, budget: Budget, cache: Path | None = None) -> None:
        self.root = root
        self.budget = budget
        self._files = Files(root, budget)
        self._cache = DecodedCache(cache, budget.memory // 2) if cache is not None else None
        self._keys = KeyVectors(self._files)
        self._contents = Contents(self._files)
        columns = UnitCache(cache.parent / "units", budget.memory // 4) if cache is not None else None
        self.units = UnitStore(self._files, self._new, self._contents, columns)
        """The activations of units of layers."""

    def uncached(self) -> Self:
        """The same store without its cache, so that checksums are checked: for reads whose rows are written again."""
        plain = copy(self)
        plain._cache = None  # noqa: SLF001 - of our own class
        return plain

    @property
    def raw(self) -> Files:
        """The files below the root that are no segments: weights, indexes, programs."""
        return self._files

    def claim(self, workspace_id: str) -> str:
        """Mark the root as a workspace's; returns the id of the workspace that owns it, ours if it had none."""
        self._files.write_once(OWNER, json.dumps({"id": workspace_id}).encode())
        try:
            return str(json.loads(self._files.read(OWNER))["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._files.path(OWNER)} is damaged: restore it from a backup.") from error

    def write_dense(self, array: str, keys: Keys, rows: NDArray[Any]) -> SegmentInfo:
        """Store rows of one shape as a new segment.

        Args:
            array: The array that it is a piece of.
            keys: (n,) distinct keys, in any order.
            rows: (n, ...) one row a key, none of them empty, of bools, integers or floats up to 64 bits.

        Raises:
            ShapeError: Keys or rows that cannot be stored.
            SpaceError: No space is left.
        """
        rows = np.asarray(rows)
        if rows.ndim == 0 or 0 in rows.shape[1:]:
            raise ShapeError(f"{array}: rows of shape {rows.shape} hold nothing that could be stored.")
        dtype = _dtype(array, rows.dtype)
        keys, order = _sorted(array, keys, len(rows))
        with self._new(array, keys, "dense", dtype, rows.shape[1:]) as new:
            dense.write(new.path, rows if order is None else rows[order], self._files.context())
        return new.info

    def write_ragged(self, array: str, keys: Keys, rows: Sequence[NDArray[Any]]) -> SegmentInfo:
        """Store rows of one dtype and number of dimensions, and of any shapes, as a new segment.

        Raises:
            ShapeError: Keys or rows that cannot be stored.
            SpaceError: No space is left.
        """
        kinds = {(_dtype(array, row.dtype), row.ndim) for row in rows}
        if len(kinds) > 1 or any(ndim == 0 for _, ndim in kinds):
            listed = ", ".join(f"{dtype} of {ndim} dimensions" for dtype, ndim in sorted(kinds))
            raise ShapeError(
                f"{array}: the rows of a segment have one dtype and one number of dimensions, not {listed}."
            )
        keys, order = _sorted(array, keys, len(rows))
        with self._new(array, keys, "ragged", next(iter(kinds))[0], ()) as new:
            ragged.write(new.path, rows if order is None else [rows[place] for place in order], self._files.context())
        return new.info

    def write_tiled(self, array: str, key: int, source: tiled.Rows) -> SegmentInfo:
        """Store one image that is too large for memory as a new segment, a few rows of tiles at a time.

        Args:
            array: The array that it is a piece of.
            key: Of the image.
            source: Its pixels (h, w, bands), read by rows.

        Raises:
            ShapeError: It is no image, or gives other rows than it says.
            SpaceError: No space is left.
        """
        tiled.check_source(array, source)
        dtype = _dtype(array, source.dtype)
        keys, _ = _sorted(array, np.array([key]), 1)
        with self._new(array, keys, "tiled", dtype, tuple(source.shape)) as new:
            tiled.write(new.path, array, source, self._files.context())
        return new.info

    def write_table(self, array: str, table: pa.Table) -> SegmentInfo:
        """Store an Arrow table with an int64 column ``key`` as a new segment; its rows keep their order.

        Raises:
            ShapeError: There is no such column, or it has a key twice or nulls.
            SpaceError: No space is left.
        """
        if "key" not in table.column_names or table.schema.field("key").type != pa.int64():
            raise ShapeError(f"{array}: a table needs a column 'key' of int64; it has {', '.join(table.column_names)}.")
        if table.column("key").null_count:
            raise ShapeError(f"{array}: {table.column('key').null_count} rows of the table have no key.")
        keys, _ = _sorted(array, table.column("key").to_numpy(), table.num_rows, empty=True)
        with self._new(array, keys, "table", "", ()) as new:
            self._files.put(new.path, tables.to_bytes(table))
        return new.info

    def keys(self, info: SegmentInfo) -> Keys:
        """The sorted keys (rows,) of a segment, read-only."""
        return self._keys.read(info.keys)

    def keys_of(self, digest: str) -> Keys:
        """The sorted keys of a digest, read-only; also of a segment that no node names.

        Raises:
            StoreError: They are missing or damaged.
        """
        return self._keys.read(digest)

    def read(self, info: SegmentInfo, positions: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Rows (n, ...) of a dense segment by position, in the order asked for.

        Scattered positions are read from the decoded segment, which the first such read makes. Other reads use it if it
        exists: a slice from TileDB takes two milliseconds, however short.
        """
        if info.codec != "dense":
            raise ShapeError(f"Segment {info.id} of {info.array} has rows of different shapes: read them as a list.")
        if isinstance(positions, slice):
            positions = np.arange(*positions.indices(info.rows), dtype=np.int64)
        if not len(positions):
            return np.empty((0, *info.shape), np.dtype(info.dtype))
        with self._files.reading(info.uri):
            distinct, back = np.unique(positions, return_inverse=True)
            gaps = np.flatnonzero(np.diff(distinct) != 1) + 1
            whole = self._decoded(info, make=len(gaps) >= _FEW_RUNS or (len(gaps) > 0 and _is_small(info)))
            if whole is not None:
                return np.asarray(whole[positions])
            runs = np.split(distinct, gaps)
            found = dense.read_runs(self._full(info), info, runs, self._files.context())
            return found if np.array_equal(distinct, positions) else found[back]

    def rows(self, info: SegmentInfo) -> NDArray[Any]:
        """All rows (n, ...) of a dense segment, read-only; mapped from its decoded file, which the first call makes."""
        with self._files.reading(info.uri):
            decoded = self._decoded(info, make=True)
            found = self._whole(info) if decoded is None else np.asarray(decoded)
        found.flags.writeable = False
        return found

    def _decoded(self, info: SegmentInfo, *, make: bool) -> NDArray[Any] | None:
        """All rows of a dense segment, mapped from its decoded file; None if there is none, and none was made."""
        if self._cache is None or not self._cache.takes(info):
            return None
        return self._cache.rows(info, lambda: self._whole(info)) if make else self._cache.mapped(info)

    def read_list(self, info: SegmentInfo, positions: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Rows of a segment that is no table by position, in the order asked for; a tiled one is read whole."""
        if info.codec == "dense":
            return list(self.read(info, positions))
        if info.codec == "units":
            raise ShapeError(f"Segment {info.id} of {info.array} has units, not rows: read columns of some.")
        if info.codec == "tiled":
            height, width, _ = info.shape
            return [self.read_box(info, position, (0, 0, width, height)) for position in positions.tolist()]
        with self._files.reading(info.uri):
            return ragged.read(self._full(info), info, positions, self._files.context())

    def read_box(self, info: SegmentInfo, position: int, box: Sequence[int]) -> NDArray[Any]:
        """A box (left, top, right, bottom) of an image (h, w, bands); of one that is tiled only its tiles are read.

        Raises:
            ShapeError: The box is empty, or reaches outside of the image; or the rows are no images.
        """
        with self._files.reading(info.uri):
            shape = self._shape(info, position)
            left, top, right, bottom = checked = read_box(box, shape)
            if info.codec == "tiled":
                return tiled.read_box(self._full(info), info, checked, self._files.context())
            read = dense.read_rows if info.codec == "dense" else ragged.read_rows
            rows = read(self._full(info), info, position, top, bottom, self._files.context())
        return rows if (left, right) == (0, shape[1]) else rows[:, left:right].copy()

    def shapes(self, info: SegmentInfo, positions: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """The shapes of rows, without reading them."""
        if info.codec != "ragged":
            return [info.shape] * len(positions)
        with self._files.reading(info.uri):
            return ragged.shapes(self._full(info), positions, self._files.context())

    def read_overview(self, info: SegmentInfo) -> NDArray[Any]:
        """The image of a tiled segment (h', w', bands), made smaller by averaging, for display."""
        with self._files.reading(info.uri):
            return tiled.read_overview(self._full(info), info, self._files.context())

    def read_table(self, info: SegmentInfo) -> pa.Table:
        """The table of a segment, its rows in the order they were written in."""
        return tables.read(self._files, info)

    def decoded_bytes(self, info: SegmentInfo) -> int:
        """How much memory the rows of a segment that is no table take."""
        if info.codec != "ragged":
            return info.rows * info.row_bytes
        with self._files.reading(info.uri):
            return ragged.decoded_bytes(self._full(info), info, self._files.context())

    def check(self, info: SegmentInfo, *, deep: bool = False) -> list[str]:
        """What is wrong with a segment, each in a phrase; nothing if it is as the graph says.

        Args:
            info: As its node says.
            deep: Also read every row, against the checksums of its tiles.
        """
        return faults(self._files, self._keys, self.units, info, deep=deep)

    def files(self) -> list[StoredFile]:
        """All files below the root that a node should name, and what interrupted writers left."""
        return [file for folder in FOLDERS for file in self._files.list(folder)]

    def remove(self, uri: str, *, unless_younger: float | None = None) -> None:
        """Remove a file or a segment that no node names.

        Args:
            uri: Below the root.
            unless_younger: Seconds; leave it if it was written, or touched, since.
        """
        if unless_younger is None or self._files.age(uri) >= unless_younger:
            self._files.remove(uri)

    @contextmanager
    def _new(self, array: str, keys: Keys, codec: Codec, dtype: str, shape: tuple[int, ...]) -> Iterator[NewSegment]:
        """A new segment to write; it gets its name and digest when the block ends."""
        name = fresh_name()
        low, high = (int(keys[0]), int(keys[-1])) if len(keys) else (0, -1)
        digest = self._keys.write(keys)
        uri = segment_uri(name, array, digest)
        info = SegmentInfo(name, array, uri, digest, len(keys), codec, dtype, shape, low, high)
        with self._files.writing(uri) as path:
            new = NewSegment(info, path)
            yield new
            new.info = replace(info, digest=content_digest(self._files, path))

    def _shape(self, info: SegmentInfo, position: int) -> tuple[int, ...]:
        (shape,) = self.shapes(info, np.array([position], np.int64))
        if len(shape) != 3:
            raise ShapeError(f"The rows of {info.array} have shape {shape}: boxes are of images (h, w, bands).")
        return shape

    def _whole(self, info: SegmentInfo) -> NDArray[Any]:
        return dense.read_runs(self._full(info), info, [np.arange(info.rows)], self._files.context())

    def _full(self, info: SegmentInfo) -> str:
        return self._contents.verified(info)


def _is_small(info: SegmentInfo) -> bool:
    return info.rows * info.row_bytes <= _SMALL


def _sorted(array: str, keys: Keys, n: int, *, empty: bool = False) -> tuple[Keys, NDArray[np.int64] | None]:
    """The sorted keys, and the order that sorts them; None if they are sorted already."""
    given = np.asarray(keys)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise ShapeError(f"{array}: {n} rows need {n} integer keys, not {given.dtype} of shape {given.shape}.")
    if not n and not empty:
        raise ShapeError(f"{array}: a segment has at least one row.")
    given = given.astype(np.int64, copy=False)
    steps = np.diff(given)
    order = None if (steps > 0).all() else np.argsort(given, kind="stable")
    ordered = given if order is None else given[order]
    if (twice := np.flatnonzero(np.diff(ordered) == 0)).size:
        raise ShapeError(f"{array}: the key {ordered[twice[0]]} is given twice; a segment has each key once.")
    return ordered, order


def _dtype(array: str, dtype: np.dtype[Any]) -> str:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ShapeError(f"{array}: rows of {dtype} are not stored; give bools, integers or floats up to 64 bits.")
    return dtype.name
