"""Files below the arrays' root, in a local folder or in an object store."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import tiledb

from odin_graph.arrays import s3
from odin_graph.arrays.context import Settings, context
from odin_graph.arrays.objects import Objects
from odin_graph.arrays.writer import writers_name
from odin_graph.config import Budget
from odin_graph.errors import OdinError, SpaceError, StoreError
from odin_graph.folder import make_inside

_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_PIECE: Final = 1 << 20
"""Bytes of a file that are in memory together, if it is read in pieces."""
FRESH: Final = "fresh"
"""The folder of what is being written; what a crash leaves there is garbage."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, or the folder of a segment, below the root."""

    uri: str
    bytes: int
    age: float
    """Seconds since it was last written; 0 where the store does not say."""


class Files:
    """Reads and writes whole files; no file is ever incomplete under its own name.

    Args:
        root: A local folder, or ``s3://``, ``gs://``, ``azure://``.
        budget: For TileDB's threads and memory.

    Raises:
        StoreError: The folder cannot be made; the object store does not answer, refuses us, or has no such bucket.
    """

    def __init__(self, root: str, budget: Budget) -> None:
        self.root = root.rstrip("/")
        self.local = Path(root) if "://" not in root else None
        self._budget = budget
        self._settings: Settings = ()
        self._check: Callable[[], None] = _nothing
        if self.local is None:
            self._objects = Objects(self.root)
            self.reach()
        else:
            try:
                self.local.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{root} cannot be made: {error.strerror}. Give a folder for the arrays that you may write to."
                ) from error

    def reach(self) -> None:
        """Check that Arrow and TileDB can use the object store, with the current environment.

        Raises:
            StoreError: It does not answer, refuses us, or has no such bucket.
        """
        if self.local is not None:
            return
        if self.root.startswith(s3.SCHEME):
            settings = s3.of_tiledb()
            self._settings = (*settings.items(), ("odin.environment", str(s3.environment())))
        with self._store_errors(self.root, "used"):
            self._objects.check()
            tiledb.VFS(ctx=self.context()).is_dir(self.root)

    def guard(self, check: Callable[[], None]) -> None:
        """Set a check that is called before a local file is written, and where one is missing.

        Args:
            check: Raises where the folder was moved or deleted: then a file is not damaged, and none is written.
        """
        self._check = check

    def context(self) -> tiledb.Ctx:
        """TileDB's context of this process."""
        return context(self._budget, self._settings)

    def path(self, uri: str) -> str:
        """The full address of a file below the root."""
        return f"{self.root}/{uri}"

    def exists(self, uri: str) -> bool:
        """Whether there is such a file or folder."""
        return self._path_exists(self.path(uri))

    def read(self, uri: str) -> bytes:
        """A whole file.

        Raises:
            StoreError: It is missing, or cannot be read.
        """
        return self.get(self.path(uri))

    def get(self, path: str) -> bytes:
        """As `read`, for a full address."""
        try:
            if self.local is not None:
                return Path(path).read_bytes()
            return self._objects.get(path)
        except (OSError, tiledb.TileDBError) as error:
            raise self.unreadable(path, error) from error

    def pieces(self, uri: str) -> tuple[int, Iterator[bytes]]:
        """The bytes of a file, and the file in pieces of a megabyte; it is open until they end or are closed.

        Raises:
            StoreError: It is missing, or cannot be read.
        """
        path = self.path(uri)
        try:
            file = open(path, "rb") if self.local is not None else self._objects.open(path)  # noqa: PTH123, SIM115
            size = file.seek(0, os.SEEK_END)
        except (OSError, tiledb.TileDBError) as error:
            raise self.unreadable(path, error) from error
        return size, self._pieces(path, file)

    def _pieces(self, path: str, file: IO[bytes]) -> Iterator[bytes]:
        with file:
            try:
                file.seek(0)
                while piece := file.read(_PIECE):
                    yield piece
            except OSError as error:
                raise self.unreadable(path, error) from error

    def tree(self, path: str) -> list[tuple[str, int]]:
        """The files below a full address, by relative name, with their bytes; "" for the address itself.

        Raises:
            StoreError: Nothing is there, or it cannot be read.
        """
        try:
            if self.local is not None:
                return list(_walk(path, "")) if Path(path).is_dir() else [("", Path(path).stat().st_size)]
            return [(entry.name, entry.bytes) for entry in self._objects.tree(path)]
        except (OSError, tiledb.TileDBError) as error:
            raise self.unreadable(path, error) from error

    def count(self, path: str) -> int:
        """How many files are in the folder at a full address, in one request; 0 where there is none.

        Raises:
            StoreError: It cannot be read.
        """
        try:
            return sum(1 for _ in Path(path).iterdir()) if self.local is not None else self._objects.count(path)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self.unreadable(path, error) from error

    def identity(self, uri: str) -> list[str | float | None]:
        """What differs between a file and each copy of it, and is the same on all machines that reach it.

        A copy is made later, and its inode is another one. No tool can set the times that are compared.
        """
        if self.local is not None:
            status = (self.local / uri).stat()
            return [status.st_ino, status.st_ctime_ns]
        with self._store_errors(self.path(uri)):
            return [self.path(uri), *(entry.written for entry in self._objects.tree(self.path(uri)))]

    @contextmanager
    def reading(self, uri: str) -> Iterator[None]:
        """Errors of TileDB while a file is read, as `unreadable`."""
        try:
            yield
        except tiledb.TileDBError as error:
            raise self.unreadable(self.path(uri), error) from error

    def unreadable(self, path: str, error: BaseException) -> OdinError:
        """The error for a file that cannot be read; for all of them if the folder is gone."""
        if self.local is not None:
            self._check()
        if why := self._outside(error):
            return StoreError(f"{path} cannot be read: {why}.")
        if not self._path_exists(path):
            return StoreError(
                f"{path} is missing: its data cannot be read, everything else can. Run `odin doctor`, "
                "which lists what is missing, and restore it from a backup; or delete the images it belongs to."
            )
        return StoreError(f"{path} cannot be read: {_reason(error)}. Run `odin doctor`.")

    def _path_exists(self, path: str) -> bool:
        if self.local is not None:
            return Path(path).exists()
        with self._store_errors(path):
            return self._objects.exists(path)

    def write(self, uri: str, data: bytes) -> None:
        """Write a file whole, or not at all; on a local disk it outlives a crash once this returns.

        Raises:
            SpaceError: No space is left.
        """
        if self.local is not None:
            with self.writing(uri) as path:
                self.put(path, data)
            return
        with self._store_errors(self.path(uri), "written"):  # on failure an existing object stays: nodes may name it
            self._objects.put(self.path(uri), data)

    def write_once(self, uri: str, data: bytes) -> bool:
        """Write a file unless it exists; whether it was written. Of several writers at once, one wins.

        In an object store, that is the last of those that found none.

        Raises:
            SpaceError: No space is left.
        """
        if self.exists(uri):
            return False
        if self.local is None:
            self.write(uri, data)
            return True
        try:
            with self.writing(uri, publish=_link) as path:
                self.put(path, data)
        except FileExistsError:
            return False
        return True

    def touch(self, uri: str) -> bool:
        """Make a file look newly written, so that `odin gc` spares it; False if it must be written instead."""
        if self.local is None:
            return False
        try:
            os.utime(self.local / uri)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{self.path(uri)} cannot be written: {_reason(error)}.") from error
        return True

    def age(self, uri: str) -> float:
        """Seconds since it was written or touched; 0 if that is unknown, so that it never counts as old."""
        if self.local is not None:
            try:
                return _since((self.local / uri).stat().st_mtime)
            except FileNotFoundError:
                return 0.0
        if not self.exists(uri):
            return 0.0
        with self._store_errors(self.path(uri)):
            dates = [entry.written for entry in self._objects.tree(self.path(uri))]
        return _since(max((date for date in dates if date is not None), default=None))

    @contextmanager
    def writing(self, uri: str, publish: Callable[[Path, Path], None] = os.replace) -> Iterator[str]:
        """A path for a file or a folder that takes its name when the block ends, and is removed if the block fails.

        An object store has no rename: there the path is the final one, and no node names it before it is complete.

        Raises:
            SpaceError: No space is left.
            StoreError: The store refuses it.
        """
        try:
            if self.local is None:
                yield self.path(uri)
                return
            target, temporary = self.local / uri, self.local / FRESH / writers_name()
            self._check()
            for folder in (target.parent, temporary.parent):
                make_inside(folder, self.local)
            yield str(temporary)
            _sync(temporary)
            publish(temporary, target)
            _sync_one(target.parent)
        except FileExistsError:
            self._clear(temporary)
            raise
        except (OSError, tiledb.TileDBError) as error:
            self._clear(self.path(uri) if self.local is None else temporary)
            if self.local is not None:
                self._check()
            if any(reason in str(error) for reason in _NO_SPACE):
                raise SpaceError(
                    f"No space is left at {self.root} to write {uri}; nothing of it was stored. "
                    "Make room, for example with `odin gc`, and call again: it continues where it stopped."
                ) from error
            raise StoreError(f"{self.path(uri)} cannot be written: {self._why(error)}.") from error
        except BaseException:
            self._clear(self.path(uri) if self.local is None else temporary)
            raise

    def remove(self, uri: str) -> None:
        """Remove a file or a folder; nothing happens where there is none.

        Raises:
            StoreError: The store refuses it.
        """
        if self.local is not None:
            self._remove_here(self.local, self.local / uri)
            return
        path, vfs = self.path(uri), tiledb.VFS(ctx=self.context())
        try:
            if vfs.is_dir(path):
                vfs.remove_dir(path)
            elif vfs.is_file(path):
                vfs.remove_file(path)
        except tiledb.TileDBError as error:
            if self.exists(uri):
                raise StoreError(f"{path} cannot be removed: {self._why(error)}.") from error

    def _remove_here(self, root: Path, path: Path) -> None:
        """Rename a folder first: under its own name neither a reader nor a crash may meet half of a segment."""
        try:
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return
            renamed = root / FRESH / writers_name()
            make_inside(renamed.parent, root)
            path.rename(renamed)
            while renamed.exists():
                with suppress(FileNotFoundError):  # another process removes it as garbage, too
                    shutil.rmtree(renamed)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{path} cannot be removed: {_reason(error)}.") from error

    def list(self, folder: str) -> list[StoredFile]:
        """The files in a folder below the root, with each of its folders as one."""
        if self.local is None:
            with self._store_errors(self.path(folder)):
                found = self._objects.list(self.path(folder))
            return [StoredFile(f"{folder}/{entry.name}", entry.bytes, _since(entry.written)) for entry in found]
        vfs = tiledb.VFS(ctx=self.context())
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
        else:
            self._objects.put(path, data)

    def _clear(self, path: str | Path) -> None:
        if isinstance(path, Path):
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return
        with suppress(StoreError):
            self.remove(path.removeprefix(f"{self.root}/"))

    @contextmanager
    def _store_errors(self, path: str, what: str = "read") -> Iterator[None]:
        """Turn errors of the object store into ours.

        Raises:
            StoreError: It refuses, or does not answer.
        """
        try:
            yield
        except (OSError, tiledb.TileDBError) as error:
            raise StoreError(f"{path} cannot be {what}: {self._why(error)}.") from error

    def _outside(self, error: BaseException) -> str | None:
        """Why the object store as a whole cannot be used, and the remedy; None where that is not the reason."""
        return s3.explained(error) if self.root.startswith(s3.SCHEME) else None

    def _why(self, error: BaseException) -> str:
        return self._outside(error) or _reason(error)


def _walk(path: str, below: str) -> Iterator[tuple[str, int]]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{below}{entry.name}/")
            else:
                yield f"{below}{entry.name}", entry.stat().st_size


def _since(written: float | None) -> float:
    """Seconds since a time; 0 if it is unknown, so that the file never counts as old."""
    return max(0.0, time.time() - written) if written is not None else 0.0


def _nothing() -> None:
    """The check of a root that nobody guards."""


def _link(temporary: Path, target: Path) -> None:
    """Take the name only if it is free; a rename would replace the file."""
    os.link(temporary, target)
    temporary.unlink()


def _sync(path: Path) -> None:
    """Let a file, or a folder with all that is in it, outlive a crash of the machine."""
    if path.is_dir():
        for entry in path.iterdir():
            _sync(entry)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".: ")
