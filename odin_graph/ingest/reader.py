"""Readers by registry: each turns the bytes of a file into pixels."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, ClassVar, Final, Protocol

from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError
from odin_graph.registry import Registry


class Reader(Protocol):
    """Reads one family of formats. An entry of `READERS` is an instance."""

    suffixes: ClassVar[frozenset[str]]
    """Of the files that it is asked for, lower case with the dot."""

    def read(self, data: bytes) -> NDArray[Any]:
        """Pixels (h, w, bands) of a file's bytes, in the file's own dtype and bands.

        Raises:
            UnreadableImageError: With the reason alone; the caller adds the file's name.
        """
        ...


READERS: Final[Registry[Reader]] = Registry("image reader", "odin_graph.readers")


def reader_of(path: PurePath) -> Reader | None:
    """The reader of a file's suffix; None where no reader claims it."""
    suffix = path.suffix.lower()
    for name in READERS:
        reader = READERS.get(name)
        if suffix in reader.suffixes:
            return reader
    return None


def read_pixels(path: PurePath, data: bytes) -> NDArray[Any]:
    """The pixels (h, w, bands) of a file.

    Raises:
        UnreadableImageError: Names the file and the reason.
    """
    reader = reader_of(path)
    if reader is None:
        known = sorted(suffix for name in READERS for suffix in READERS.get(name).suffixes)
        raise UnreadableImageError(
            f"{path}: no reader for files that end in {path.suffix!r}. There is: {', '.join(known)}."
        )
    try:
        return reader.read(data)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{path}: {error}") from error
