"""The digest of a stored segment: which files it has, and what is in those that no checksum of TileDB's covers.

TileDB checks the tiles of values. It trusts its schema, the metadata of its fragments and the list of what was
committed: a missing file reads as fill values, and an additional fragment as other numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from odin_graph.arrays.files import Files
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.errors import StoreError

_TILES: Final = "/a0.tdb"
"""The file of an attribute's tiles in a fragment: large, and checked by TileDB, tile by tile."""


@dataclass(slots=True)
class NewSegment:
    """A segment that is being written."""

    info: SegmentInfo
    """With its digest once it is written."""
    path: str
    """The path to write to."""


class Contents:
    """Checks segments against their digests, each once in a process, before it is read.

    Args:
        files: Of the store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._verified: set[str] = set()

    def verified(self, info: SegmentInfo) -> str:
        """The full address of a segment whose files are those that were written.

        Raises:
            StoreError: They are different; the message says what to do.
        """
        path = self._files.path(info.uri)
        if info.digest and info.id not in self._verified:
            check_digest(path, info.digest, content_digest(self._files, path))
            self._verified.add(info.id)
        return path


def content_digest(files: Files, path: str) -> str:
    """The digest of the segment at a full address, a file or a folder."""
    names = sorted(files.tree(path))
    return digest_of(
        (name, size if name.endswith(_TILES) else files.get(f"{path}/{name}" if name else path)) for name, size in names
    )


def digest_of(contents: Iterable[tuple[str, bytes | int]]) -> str:
    """SHA-256, hexadecimal, over files in the order of their names: what is in them, or their size alone."""
    hasher = hashlib.sha256()
    for name, content in contents:
        text = str(content) if isinstance(content, int) else hashlib.sha256(content).hexdigest()
        hasher.update(f"{name}\0{text}\n".encode())
    return hasher.hexdigest()


def check_digest(path: str, expected: str, actual: str) -> None:
    """Refuse a segment that is not what was written.

    Raises:
        StoreError: It is not.
    """
    if expected and actual != expected:
        raise StoreError(
            f"{path} is not what was written: files of it are missing, added or changed. Run `odin doctor`, and bring "
            "it back from a backup."
        )
