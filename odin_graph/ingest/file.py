"""A file as its reader is given it."""

from __future__ import annotations

import io
from pathlib import Path, PurePath
from typing import BinaryIO, Final, TypeAlias

Origin: TypeAlias = bytes | Path
"""A file's bytes, or where it lies."""
HEAD: Final = 512
"""Bytes that a reader decides by."""


class File:
    """A file that is to be read: a small one by its bytes, which are in memory already, others by their path."""

    __slots__ = ("_head", "_name", "origin", "shown")

    def __init__(self, name: str | PurePath, origin: Origin, shown: object = None) -> None:
        self._name, self.origin = name, origin
        self.shown = name if shown is None else shown
        """Its name in messages."""
        self._head: bytes | None = None

    @property
    def name(self) -> PurePath:
        """Its path below the folder that was given, or as the manifest has it: a path, with `name` and `suffix`."""
        return PurePath(self._name)

    @property
    def head(self) -> bytes:
        """Its first 512 bytes, or what there is."""
        if self._head is None:
            if isinstance(self.origin, bytes):
                self._head = self.origin[:HEAD]
            else:
                with self.origin.open("rb") as file:
                    self._head = file.read(HEAD)
        return self._head

    @property
    def path(self) -> Path | None:
        """Where it lies; None of bytes."""
        return self.origin if isinstance(self.origin, Path) else None

    def open(self) -> BinaryIO:
        """The file as a stream that can be sought, to be closed."""
        return io.BytesIO(self.origin) if isinstance(self.origin, bytes) else self.origin.open("rb")

    def read(self) -> bytes:
        """All of its bytes."""
        return self.origin if isinstance(self.origin, bytes) else self.origin.read_bytes()
