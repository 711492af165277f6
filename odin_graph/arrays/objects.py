"""Whole objects below a root in an object store, through Arrow's file systems, which give the time of each write.

An object is replaced at once, or stays as it was. Reads and lists after a write see it: S3 promises that since
2020.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from odin_graph.arrays import s3

if TYPE_CHECKING:
    from pyarrow import fs


@dataclass(frozen=True, slots=True)
class Entry:
    """An object, or all objects below a name."""

    name: str
    bytes: int
    written: float | None
    """When the last of it was written, in seconds since the epoch, by the store's clock."""


class Objects:
    """Reads and writes objects by their full address. Every call may raise an OSError of Arrow's.

    Args:
        root: ``s3://``, ``gs://``, ``azure://``, or ``file://`` for a folder that is treated as one of these.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._systems: dict[int, fs.FileSystem] = {}

    def check(self) -> None:
        """Check that the store answers, accepts our credentials, and has the bucket."""
        from pyarrow import fs

        path = self._path(self._root)
        # A list gives the reason of a refusal; a single name does not.
        self._system().get_file_info(fs.FileSelector(path, allow_not_found=True))
        bucket = path.partition("/")[0]
        if self._root.startswith(s3.SCHEME) and self._type(bucket) == fs.FileType.NotFound:
            raise FileNotFoundError(f"NoSuchBucket: {bucket}")

    def get(self, path: str) -> bytes:
        """A whole object."""
        with self._system().open_input_file(self._path(path)) as file:
            return bytes(file.read())

    def open(self, path: str) -> IO[bytes]:
        """An object, to be read piece by piece."""
        file: IO[bytes] = self._system().open_input_file(self._path(path))
        return file

    def put(self, path: str, data: bytes | memoryview) -> None:
        """Write a whole object, in place of an existing one."""
        with self._system().open_output_stream(self._path(path), compression=None) as file:
            file.write(data)

    def exists(self, path: str) -> bool:
        """Whether there is an object of that name, or one below it."""
        from pyarrow import fs

        return bool(self._type(self._path(path)) != fs.FileType.NotFound)

    def tree(self, path: str) -> list[Entry]:
        """The objects below a name, named relative to it; "" for the one that has the name itself."""
        from pyarrow import fs

        prefix = self._path(path)
        info = self._system().get_file_info(prefix)
        if info.type == fs.FileType.File:
            return [_entry("", info)]
        found = self._system().get_file_info(fs.FileSelector(prefix, recursive=True))
        return [_entry(entry.path[len(prefix) + 1 :], entry) for entry in found if entry.type == fs.FileType.File]

    def count(self, path: str) -> int:
        """How many objects are below a name; 0 where there is nothing."""
        from pyarrow import fs

        found = self._system().get_file_info(fs.FileSelector(self._path(path), allow_not_found=True))
        return sum(entry.type == fs.FileType.File for entry in found)

    def list(self, path: str) -> list[Entry]:
        """The entries below a name, by the first part of their relative names; empty where there is nothing."""
        if not self.exists(path):
            return []
        parts: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in self.tree(path):
            parts[entry.name.partition("/")[0]].append(entry)
        return [
            Entry(
                name,
                sum(entry.bytes for entry in part),
                max((entry.written for entry in part if entry.written is not None), default=None),
            )
            for name, part in sorted(parts.items())
        ]

    def _type(self, place: str) -> fs.FileType:
        return self._system().get_file_info(place).type

    def _system(self) -> fs.FileSystem:
        """This process's file system: a forked child makes its own, and does not touch its parent's."""
        if (system := self._systems.get(os.getpid())) is None:
            system = self._systems[os.getpid()] = _file_system(self._root)
        return system

    def _path(self, address: str) -> str:
        """An address in the form that Arrow's file systems take."""
        return address.partition("://")[2]


def _file_system(root: str) -> fs.FileSystem:
    from pyarrow import fs

    scheme = root.partition("://")[0]
    if scheme == "s3":
        return fs.S3FileSystem(retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=s3.tries()), **s3.of_arrow())
    if scheme == "azure":
        return fs.AzureFileSystem(os.environ.get("AZURE_STORAGE_ACCOUNT", ""), os.environ.get("AZURE_STORAGE_KEY"))
    return fs.GcsFileSystem() if scheme == "gs" else fs.LocalFileSystem()


def _entry(name: str, info: fs.FileInfo) -> Entry:
    return Entry(name, info.size, info.mtime.timestamp() if info.mtime is not None else None)
