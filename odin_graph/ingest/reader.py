"""Readers by registry: each turns the bytes of a file into pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ConflictError, UnreadableImageError
from odin_graph.ingest.files import printable
from odin_graph.ingest.source import Origin, Source, broken
from odin_graph.registry import Registry


class Reader(Protocol):
    """Reads one family of formats. An entry of `READERS` is an instance."""

    suffixes: ClassVar[frozenset[str]]
    """Of the files that it is asked for, lower case with the dot. Together with ours each suffix has one reader."""

    def read(self, data: bytes) -> NDArray[Any]:
        """Pixels (h, w, bands) of a file's bytes, in the file's own dtype and bands. Called from several threads.

        A reader may also have ``open(origin: bytes | Path) -> Source`` (`odin_graph.ingest.source`), so that large
        files are read by rows, and no more of them at a time than there is memory for.

        Raises:
            UnreadableImageError: With the reason alone; the caller adds the file's name.
        """
        ...


_FAILURES: Final = (UnreadableImageError, OSError, MemoryError)

READERS: Final[Registry[Reader]] = Registry("image reader", "odin_graph.readers")


@dataclass(frozen=True)
class Readers:
    """Every reader by the suffixes it claims: looked up once a job, since entry points take milliseconds to find."""

    by_suffix: Mapping[str, Reader] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> Self:
        """Those that are registered now.

        Raises:
            ConflictError: Two claim one suffix.
        """
        claims: dict[str, str] = {}
        found: dict[str, Reader] = {}
        for name in READERS:
            reader = READERS.get(name)
            for suffix in sorted(reader.suffixes):
                if suffix in claims:
                    raise ConflictError(
                        f"Two image readers claim files that end in {suffix!r}: {claims[suffix]} and {name}. "
                        "Uninstall the package of one."
                    )
                claims[suffix] = name
                found[suffix] = reader
        return cls(found)

    def read(self, path: PurePath, data: bytes) -> NDArray[Any]:
        """The pixels (h, w, bands) of a file.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        source = self.open(path, data)
        return source.rows(0, source.shape[0])

    def open(self, path: PurePath, origin: Origin) -> Source:
        """The image of a file, not yet decoded where its reader has ``open``; its errors name the file.

        Args:
            path: Whose suffix says which reader is asked.
            origin: The file's bytes, or where it lies.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        reader = self.by_suffix.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(sorted(self.by_suffix))
            ends = f"end in {printable(path.suffix)!r}" if path.suffix else "have no suffix"
            raise UnreadableImageError(f"{printable(path)}: no reader for files that {ends}. There is: {known}.")
        return _Named(path, reader, origin)


class _Named:
    """What a reader gives of a file; see `odin_graph.ingest.source.Source`. Its errors begin with the file's name."""

    def __init__(self, path: PurePath, reader: Reader, origin: Origin) -> None:
        self._path = path
        opens = getattr(reader, "open", None)
        try:
            self._source: Source = _Read(reader, origin) if opens is None else opens(origin)
        except _FAILURES as error:
            raise _named(path, error) from error
        self.shape, self.dtype, self.at_once = self._source.shape, self._source.dtype, self._source.at_once
        self.takes = getattr(self._source, "takes", 0)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        try:
            return self._source.rows(first, end)
        except _FAILURES as error:
            raise _named(self._path, error) from error


class _Read:
    """What a reader that has no ``open`` gives at once."""

    at_once: int | None = None

    def __init__(self, reader: Reader, origin: Origin) -> None:
        try:
            self._pixels = np.asarray(reader.read(origin.read_bytes() if isinstance(origin, Path) else origin))
        except (UnreadableImageError, OSError):
            raise
        except Exception as error:  # a broken file makes readers raise anything
            raise broken(error) from error
        if self._pixels.ndim == 2:
            self._pixels = self._pixels[:, :, np.newaxis]
        if self._pixels.ndim != 3:
            raise UnreadableImageError(f"its reader gives pixels of shape {self._pixels.shape}, not (h, w, bands)")
        self.shape, self.dtype = self._pixels.shape, self._pixels.dtype

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        return self._pixels[first:end]


def _named(path: PurePath, error: Exception) -> UnreadableImageError:
    """The error with the file's name before it."""
    if isinstance(error, MemoryError):
        return UnreadableImageError(f"{printable(path)}: there is not enough memory to decode it")
    reason = (error.strerror or error) if isinstance(error, OSError) else error
    return UnreadableImageError(f"{printable(path)}: {reason}")
