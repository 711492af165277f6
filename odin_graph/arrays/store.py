"""Segments over TileDB: a sorted key vector beside rows by position, written once and never changed.

Key is identity, position is address: a key is found by ``searchsorted`` in the key vector, a run of keys is one slice.
A segment is written under a name of its own before any node names it, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import dense, ragged
from odin_graph.arrays.decoded import DecodedCache
from odin_graph.arrays.files import Files, StoredFile
from odin_graph.arrays.segment import Codec, SegmentInfo
from odin_graph.config import Budget
from odin_graph.errors import ShapeError, StoreError

Keys = NDArray[np.int64]
OWNER: Final = "workspace.json"
FOLDERS: Final = ("segments", "keys", "weights", "indexes", "programs")
"""What stands below the root, each file or segment under a name that is never given twice."""
_FEW_RUNS: Final = 8
"""So many slices are read from TileDB one by one; more are cheaper from the decoded segment."""


def keys_uri(digest: str) -> str:
    """Where a key vector is kept, below the root; segments of the same keys share it."""
    return f"keys/{digest}.npy"


class ArrayStore:
    """All segments below one root.

    Args:
        root: A local folder, or ``s3://``, ``gs://``, ``azure://``.
        budget: Memory and threads.
        cache: A local folder for decoded segments, shared by processes and droppable at any time; None for no cache.
    """

    def __init__(self, root: str, budget: Budget, cache: Path | None = None) -> None:
        self.root = root
        self.budget = budget
        self._files = Files(root, budget)
        self._cache = DecodedCache(cache, budget.memory) if cache is not None else None
        self._keys = lru_cache(maxsize=256)(self._read_keys)

    @property
    def raw(self) -> Files:
        """The files below the root, for what is no segment: weights, indexes, programs."""
        return self._files

    def claim(self, workspace_id: str) -> str:
        """Mark the root as a workspace's; the id of the workspace that it belongs to, ours if it had none."""
        if not self._files.exists(OWNER):
            self._files.write(OWNER, json.dumps({"id": workspace_id}).encode())
        try:
            return str(json.loads(self._files.read(OWNER))["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._files.path(OWNER)} is damaged: restore it from a backup.") from error

    def write_dense(self, array: str, keys: Keys, rows: NDArray[Any]) -> SegmentInfo:
        """Store rows of one shape as a new segment.

        Args:
            array: The array that it is a piece of.
            keys: (n,) distinct keys, in any order.
            rows: (n, ...) one row a key, any numeric dtype or bool.
        """
        order, info = self._new(array, keys, len(rows), "dense", rows.dtype.name, rows.shape[1:])
        self._write(info, lambda path: dense.write(path, rows[order], self._files.context()))
        return info

    def write_ragged(self, array: str, keys: Keys, rows: Sequence[NDArray[Any]]) -> SegmentInfo:
        """Store rows of one dtype and number of dimensions, and of any shapes, as a new segment."""
        kinds = {(row.dtype, row.ndim) for row in rows}
        if len(kinds) > 1:
            raise ShapeError(
                f"The rows of one segment have one dtype and number of dimensions, not {sorted(map(str, kinds))}."
            )
        dtype = rows[0].dtype.name if rows else ""
        order, info = self._new(array, keys, len(rows), "ragged", dtype, ())
        self._write(
            info, lambda path: ragged.write(path, [rows[position] for position in order], self._files.context())
        )
        return info

    def write_table(self, array: str, table: pa.Table) -> SegmentInfo:
        """Store an Arrow table with an int64 column ``key`` as a new segment; its rows keep their order."""
        keys = table.column("key").to_numpy().astype(np.int64, copy=False)
        _, info = self._new(array, keys, table.num_rows, "table", "", (), empty=True)
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        self._files.write(info.uri, sink.getvalue())
        return info

    def keys(self, info: SegmentInfo) -> Keys:
        """The sorted keys (rows,) of a segment."""
        return self._keys(info.keys)

    def read(self, info: SegmentInfo, positions: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Rows (n, ...) of a dense segment by position, in the order asked for."""
        if info.codec != "dense":
            raise ShapeError(f"Segment {info.id} of {info.array} holds rows of different shapes: read them as a list.")
        if isinstance(positions, slice):
            start, stop, step = positions.indices(info.rows)
            positions = np.arange(start, stop, step, dtype=np.int64)
        if not len(positions):
            return np.empty((0, *info.shape), np.dtype(info.dtype))
        with self._reading(info):
            distinct, back = np.unique(positions, return_inverse=True)
            runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1)
            if len(runs) <= _FEW_RUNS or self._cache is None:
                found = dense.read_runs(self._full(info), info, runs, self._files.context())
                return found if len(back) == len(found) and np.array_equal(distinct, positions) else found[back]
            whole = self._cache.rows(info, lambda: self._whole(info))
            return np.asarray(whole[positions])

    def read_list(self, info: SegmentInfo, positions: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Rows of a dense or a ragged segment by position, in the order asked for."""
        if info.codec == "dense":
            return list(self.read(info, positions))
        with self._reading(info):
            return ragged.read(self._full(info), info, positions, self._files.context())

    def read_table(self, info: SegmentInfo) -> pa.Table:
        """The table of a segment, its rows in the order they were written in."""
        data = self._files.read(info.uri)
        try:
            return pa.ipc.open_file(pa.BufferReader(data)).read_all()
        except pa.ArrowInvalid as error:
            raise StoreError(f"{self._full(info)} is damaged: {error}. Run `odin doctor`.") from error

    def check(self, info: SegmentInfo) -> list[str]:
        """What is wrong with a segment, reading all of it; nothing if it is as the graph says."""
        try:
            keys = self._read_keys(info.keys)
            if len(keys) != info.rows:
                return [f"has {info.rows} rows and {len(keys)} keys"]
            if info.codec == "table":
                rows = self.read_table(info).num_rows
            elif info.codec == "dense":
                rows = len(self._whole(info))
            else:
                rows = len(self.read_list(info, np.arange(info.rows)))
        except StoreError as error:
            return [str(error)]
        return [] if rows == info.rows else [f"should have {info.rows} rows and has {rows}"]

    def files(self) -> list[StoredFile]:
        """Everything below the root that a node should name."""
        return [file for folder in FOLDERS for file in self._files.list(folder)]

    def remove(self, uri: str, *, unless_younger: float | None = None) -> None:
        """Remove a file or a segment that no node names.

        Args:
            uri: Below the root.
            unless_younger: Seconds; leave it if it was written, or touched, since.
        """
        if unless_younger is None or self._files.age(uri) >= unless_younger:
            self._files.remove(uri)

    def _new(
        self, array: str, keys: Keys, n: int, codec: Codec, dtype: str, shape: tuple[int, ...], *, empty: bool = False
    ) -> tuple[NDArray[np.int64], SegmentInfo]:
        keys = np.asarray(keys, dtype=np.int64)
        if keys.shape != (n,):
            raise ShapeError(f"{array}: {n} rows need {n} keys, not keys of shape {keys.shape}.")
        if not n and not empty:
            raise ShapeError(f"{array}: a segment has at least one row.")
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        if n and (np.diff(ordered) == 0).any():
            twice = int(ordered[np.flatnonzero(np.diff(ordered) == 0)[0]])
            raise ShapeError(f"{array}: the key {twice} is there twice; a segment has each key once.")
        digest = hashlib.sha256(ordered.tobytes()).hexdigest()
        # Touched, so that `odin gc`, which spares what is young, does not take a vector that was garbage until now.
        if not self._files.touch(keys_uri(digest)):
            out = io.BytesIO()
            np.save(out, ordered, allow_pickle=False)
            self._files.write(keys_uri(digest), out.getvalue())
        name = uuid.uuid4().hex
        low, high = (int(ordered[0]), int(ordered[-1])) if n else (0, -1)
        return order, SegmentInfo(name, array, f"segments/{name}", digest, n, codec, dtype, shape, low, high)

    def _write(self, info: SegmentInfo, write: Callable[[str], None]) -> None:
        try:
            with self._files.writing(info.uri):
                write(self._full(info))
                self._files.sync(info.uri)
        except BaseException:
            self._files.remove(info.uri)
            raise

    def _whole(self, info: SegmentInfo) -> NDArray[Any]:
        return dense.read_runs(self._full(info), info, [np.arange(info.rows)], self._files.context())

    def _read_keys(self, digest: str) -> Keys:
        data = self._files.read(keys_uri(digest))
        try:
            keys: Keys = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise StoreError(f"{self._files.path(keys_uri(digest))} is damaged. Run `odin doctor`.") from error
        if hashlib.sha256(keys.tobytes()).hexdigest() != digest:
            raise StoreError(
                f"{self._files.path(keys_uri(digest))} holds other keys than its name says. Run `odin doctor`."
            )
        keys.flags.writeable = False
        return keys

    @contextmanager
    def _reading(self, info: SegmentInfo) -> Iterator[None]:
        try:
            yield
        except tiledb.TileDBError as error:
            raise StoreError(f"The segment {self._full(info)} cannot be read: {error}. Run `odin doctor`.") from error

    def _full(self, info: SegmentInfo) -> str:
        return self._files.path(info.uri)
