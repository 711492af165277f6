"""Files below the arrays' root, local or in an object store, through TileDB's virtual file system."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tiledb

from odin_graph.config import Budget
from odin_graph.errors import SpaceError, StoreError

_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_FRESH: Final = ".fresh-"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, or the folder of a segment, that stands below the root."""

    uri: str
    bytes: int
    age: float
    """Seconds since it was last written; 0 where the store does not say."""


class Files:
    """Reads and writes whole files; nothing is ever half there under its own name.

    Args:
        root: A local folder, or ``s3://``, ``gs://``, ``azure://``.
        budget: For TileDB's threads and its cache of tiles.
    """

    def __init__(self, root: str, budget: Budget) -> None:
        self.root = root.rstrip("/")
        self.local = Path(root) if "://" not in root else None
        self._budget = budget
        self._contexts: dict[int, tiledb.Ctx] = {}
        if self.local is not None:
            self.local.mkdir(parents=True, exist_ok=True)

    def context(self) -> tiledb.Ctx:
        """TileDB's context of this process: its threads do not live through a fork, so a child makes its own."""
        pid = os.getpid()
        if pid not in self._contexts:
            threads = str(self._budget.threads)
            self._contexts[pid] = tiledb.Ctx(
                {
                    "sm.compute_concurrency_level": threads,
                    "sm.io_concurrency_level": threads,
                    "sm.tile_cache_size": str(self._budget.memory // 32),
                    "sm.memory_budget": str(self._budget.memory // 4),
                }
            )
        return self._contexts[pid]

    def path(self, uri: str) -> str:
        """The full address of a file below the root."""
        return f"{self.root}/{uri}"

    def exists(self, uri: str) -> bool:
        """Whether a file or a folder stands there."""
        if self.local is not None:
            return (self.local / uri).exists()
        return bool(self._vfs().is_file(self.path(uri)) or self._vfs().is_dir(self.path(uri)))

    def touch(self, uri: str) -> bool:
        """Make a file young again; False where there is none, or where the store cannot."""
        if self.local is None:
            return False
        try:
            os.utime(self.local / uri)
        except FileNotFoundError:
            return False
        return True

    def age(self, uri: str) -> float:
        """Seconds since it was last written; 0 where the store does not say, or nothing is there."""
        try:
            return max(time.time() - (self.local / uri).stat().st_mtime, 0.0) if self.local is not None else 0.0
        except FileNotFoundError:
            return 0.0

    def read(self, uri: str) -> bytes:
        """A whole file.

        Raises:
            StoreError: It is missing.
        """
        try:
            if self.local is not None:
                return (self.local / uri).read_bytes()
            with self._vfs().open(self.path(uri), "rb") as file:
                return bytes(file.read())
        except (OSError, tiledb.TileDBError) as error:
            raise StoreError(f"{self.path(uri)} cannot be read: {error}. Run `odin doctor`.") from error

    def write(self, uri: str, data: bytes) -> None:
        """Write a file whole, or not at all. On a local disk it stands when this returns."""
        with self.writing(uri):
            if self.local is None:  # an object appears when it is complete
                with self._vfs().open(self.path(uri), "wb") as file:
                    file.write(data)
                return
            target = self.local / uri
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f"{_FRESH}{uuid.uuid4().hex}")
            try:
                with fresh.open("wb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                fresh.replace(target)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
            _sync_folder(target.parent)

    @contextmanager
    def writing(self, uri: str) -> Iterator[None]:
        """Turn the errors of a full disk into ours."""
        try:
            yield
        except (OSError, tiledb.TileDBError) as error:
            if any(reason in str(error) for reason in _NO_SPACE):
                raise SpaceError(
                    f"No space is left at {self.root}, writing {uri}: nothing of it is kept. "
                    "Free some, for example with `odin gc`, and call again."
                ) from error
            raise StoreError(f"{self.path(uri)} cannot be written: {error}") from error

    def sync(self, uri: str) -> None:
        """Let a folder that was just written stand through a crash of the machine."""
        if self.local is None:
            return
        for folder, _, names in os.walk(self.local / uri):
            for name in names:
                handle = os.open(os.path.join(folder, name), os.O_RDONLY)  # noqa: PTH118 - as os.walk says it
                os.fsync(handle)
                os.close(handle)
            _sync_folder(Path(folder))
        _sync_folder((self.local / uri).parent)

    def remove(self, uri: str) -> None:
        """Remove a file or a folder; nothing happens where there is none."""
        path, vfs = self.path(uri), self._vfs()
        if vfs.is_dir(path):
            vfs.remove_dir(path)
        elif vfs.is_file(path):
            vfs.remove_file(path)

    def list(self, folder: str) -> list[StoredFile]:
        """What stands in a folder below the root, its own folders counted as one each."""
        vfs: Any = self._vfs()
        if not vfs.is_dir(self.path(folder)):
            return []
        names = sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in vfs.ls(self.path(folder)))
        return [self._stat(vfs, f"{folder}/{name}") for name in names]

    def _stat(self, vfs: Any, uri: str) -> StoredFile:
        path = self.path(uri)
        size = vfs.dir_size(path) if vfs.is_dir(path) else vfs.file_size(path)
        return StoredFile(uri, int(size), self.age(uri))

    def _vfs(self) -> tiledb.VFS:
        return tiledb.VFS(ctx=self.context())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
