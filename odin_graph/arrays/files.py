"""Files below the arrays' root, local or in an object store, through TileDB's virtual file system."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tiledb

from odin_graph.arrays.context import context
from odin_graph.arrays.names import written_at
from odin_graph.arrays.writer import writers_name
from odin_graph.config import Budget
from odin_graph.errors import OdinError, SpaceError, StoreError
from odin_graph.folder import make_inside

_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded", "File too large")
FRESH: Final = "fresh"
"""The folder of what is being written; what a crash leaves there is garbage."""


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
        budget: For TileDB's threads and memory.
    """

    def __init__(self, root: str, budget: Budget) -> None:
        self.root = root.rstrip("/")
        self.local = Path(root) if "://" not in root else None
        self._budget = budget
        self._check: Callable[[], None] = _nothing
        if self.local is not None:
            try:
                self.local.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{root} cannot be made: {error.strerror}. Give a folder for the arrays that you may write to."
                ) from error

    def guard(self, check: Callable[[], None]) -> None:
        """Have something asked before a local file is written, and where one is missing.

        Args:
            check: Raises where the folder was moved or deleted: then a file is not damaged, and none is written.
        """
        self._check = check

    def context(self) -> tiledb.Ctx:
        """TileDB's context of this process."""
        return context(self._budget)

    def path(self, uri: str) -> str:
        """The full address of a file below the root."""
        return f"{self.root}/{uri}"

    def exists(self, uri: str) -> bool:
        """Whether a file or a folder stands there."""
        return self._is_there(self.path(uri))

    def read(self, uri: str) -> bytes:
        """A whole file.

        Raises:
            StoreError: It is missing, or cannot be read.
        """
        return self.get(self.path(uri))

    def get(self, path: str) -> bytes:
        """As `read`, of a full address."""
        try:
            if self.local is not None:
                return Path(path).read_bytes()
            with self._vfs().open(path, "rb") as file:
                return bytes(file.read())
        except (OSError, tiledb.TileDBError) as error:
            raise self.unreadable(path, error) from error

    def tree(self, path: str) -> list[tuple[str, int]]:
        """The files below a full address, by their name below it, with their bytes; "" for the address itself.

        Raises:
            StoreError: Nothing is there, or it cannot be read.
        """
        try:
            if self.local is not None:
                return list(_walk(path, "")) if Path(path).is_dir() else [("", Path(path).stat().st_size)]
            vfs = self._vfs()
            if not vfs.is_dir(path):
                return [("", int(vfs.file_size(path)))]
            found: list[tuple[str, int]] = []

            def take(uri: str, size: int) -> bool:
                if size or not (uri.endswith("/") or vfs.is_dir(uri)):  # what was committed is an empty file
                    found.append((uri.removeprefix(path).lstrip("/"), int(size)))
                return True

            vfs.ls_recursive(path, take)
            return found
        except (OSError, tiledb.TileDBError) as error:
            raise self.unreadable(path, error) from error

    def unreadable(self, path: str, error: BaseException) -> OdinError:
        """What is said of a file that cannot be read; of all of them where the folder is not there any more."""
        if self.local is not None:
            self._check()
        if not self._is_there(path):
            return StoreError(
                f"{path} is missing: what it held cannot be read, everything else can. Run `odin doctor`, "
                "which lists what is missing, and restore it from a backup; or delete the images it belongs to."
            )
        return StoreError(f"{path} cannot be read: {_reason(error)}. Run `odin doctor`.")

    def _is_there(self, path: str) -> bool:
        if self.local is not None:
            return Path(path).exists()
        return bool(self._vfs().is_file(path) or self._vfs().is_dir(path))

    def write(self, uri: str, data: bytes) -> None:
        """Write a file whole, or not at all; on a local disk it outlives a crash once this returns.

        Raises:
            SpaceError: No space is left.
        """
        with self.writing(uri) as path:
            self.put(path, data)

    def write_once(self, uri: str, data: bytes) -> bool:
        """Write a file unless it is there; whether it was written. Of several writers at once, one wins.

        Raises:
            SpaceError: No space is left.
        """
        if self.exists(uri):
            return False
        try:
            with self.writing(uri, publish=_link) as path:
                self.put(path, data)
        except FileExistsError:
            return False
        return True

    def touch(self, uri: str) -> bool:
        """Make a file look newly written, so that `odin gc` spares it; whether it is there."""
        if self.local is None:
            return self.exists(uri)
        try:
            os.utime(self.local / uri)
        except FileNotFoundError:
            return False
        return True

    def age(self, uri: str) -> float:
        """Seconds since it was written or touched; 0 where nobody can say, so that nobody takes it for old."""
        if self.local is None:
            made = written_at(uri)
        else:
            try:
                made = (self.local / uri).stat().st_mtime
            except FileNotFoundError:
                made = None
        return max(0.0, time.time() - made) if made is not None else 0.0

    @contextmanager
    def writing(self, uri: str, publish: Callable[[Path, Path], None] = os.replace) -> Iterator[str]:
        """Where to write a file or a folder that takes its name when the block ends; it is removed if the block fails.

        An object store has no rename: there the path is the final one, and no node names it before it is complete.

        Raises:
            SpaceError: No space is left.
            StoreError: The store refuses it.
        """
        try:
            if self.local is None:
                yield self.path(uri)
                return
            target, fresh = self.local / uri, self.local / FRESH / writers_name()
            self._check()
            for folder in (target.parent, fresh.parent):
                make_inside(folder, self.local)
            yield str(fresh)
            _sync(fresh)
            publish(fresh, target)
            _sync_one(target.parent)
        except FileExistsError:
            self._clear(fresh)
            raise
        except (OSError, tiledb.TileDBError) as error:
            self._clear(self.path(uri) if self.local is None else fresh)
            if self.local is not None:
                self._check()
            if any(reason in str(error) for reason in _NO_SPACE):
                raise SpaceError(
                    f"No space is left at {self.root} to write {uri}; nothing of it is kept. "
                    "Make room, for example with `odin gc`, and call again: it goes on where it stopped."
                ) from error
            raise StoreError(f"{self.path(uri)} cannot be written: {_reason(error)}.") from error
        except BaseException:
            self._clear(self.path(uri) if self.local is None else fresh)
            raise

    def remove(self, uri: str) -> None:
        """Remove a file or a folder; nothing happens where there is none.

        Raises:
            StoreError: The store refuses it.
        """
        path, vfs = self.path(uri), self._vfs()
        try:
            if vfs.is_dir(path):
                vfs.remove_dir(path)
            elif vfs.is_file(path):
                vfs.remove_file(path)
        except tiledb.TileDBError as error:
            if self.exists(uri):
                raise StoreError(f"{path} cannot be removed: {_reason(error)}.") from error

    def list(self, folder: str) -> list[StoredFile]:
        """What stands in a folder below the root, its own folders counted as one each."""
        vfs = self._vfs()
        if not vfs.is_dir(self.path(folder)):
            return []
        names = sorted(entry.rstrip("/").rsplit("/", 1)[-1] for entry in vfs.ls(self.path(folder)))
        return [file for name in names if (file := self._stat(vfs, f"{folder}/{name}"))]

    def _stat(self, vfs: tiledb.VFS, uri: str) -> StoredFile | None:
        path = self.path(uri)
        try:
            size = vfs.dir_size(path) if vfs.is_dir(path) else vfs.file_size(path)
        except tiledb.TileDBError:  # its writer has just finished, or gc was faster
            return None
        return StoredFile(uri, int(size), self.age(uri))

    def put(self, path: str, data: bytes | memoryview) -> None:
        """Write data to a full address, one that `writing` gave."""
        if self.local is not None:
            Path(path).write_bytes(data)
            return
        with self._vfs().open(path, "wb") as file:
            file.write(bytes(data))

    def _clear(self, path: str | Path) -> None:
        if isinstance(path, Path):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return
        with suppress(StoreError):
            self.remove(path.removeprefix(f"{self.root}/"))

    def _vfs(self) -> tiledb.VFS:
        return tiledb.VFS(ctx=self.context())


def _walk(path: str, below: str) -> Iterator[tuple[str, int]]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{below}{entry.name}/")
            else:
                yield f"{below}{entry.name}", entry.stat().st_size


def _nothing() -> None:
    """Of a root that nobody guards."""


def _link(fresh: Path, target: Path) -> None:
    """Take the name only if nobody has it, which a rename does not ask."""
    os.link(fresh, target)
    fresh.unlink()


def _sync(path: Path) -> None:
    """Let a file, or a folder with all that is in it, outlive a crash of the machine."""
    if path.is_dir():
        for held in path.iterdir():
            _sync(held)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".")
