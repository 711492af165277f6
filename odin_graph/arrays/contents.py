"""The digest of a stored segment: which files it has, and what is in those that no checksum of TileDB's covers.

TileDB checks the tiles of values. It trusts its schema, the metadata of its fragments and the list of what was
committed: a missing file reads as fill values, and an additional fragment as other numbers.

In an array of one fragment, a missing commit is found when it is opened. In one of several, it is a hole, so that the
commits of these are counted at each read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from odin_graph.arrays.files import Files
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.errors import StoreError

_TILES: Final = "/a0.tdb"
"""The file of an attribute's tiles in a fragment: large, and checked by TileDB, tile by tile."""
_COMMITS: Final = "__commits"
"""The folder of an array that names its fragments, one file each."""


@dataclass(slots=True)
class NewSegment:
    """A segment that is being written."""

    info: SegmentInfo
    """With its digest once it is written."""
    path: str
    """The path to write to."""


class Contents:
    """Checks segments before they are read: against their digests once in a process, and for holes each time.

    Args:
        files: Of the store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._verified: dict[str, dict[str, int]] = {}
        """By the id of a segment, the commits of its arrays of several fragments, by folder."""

    def verified(self, info: SegmentInfo) -> str:
        """The full address of a segment whose files are those that were written.

        Raises:
            StoreError: They are different; the message says what to do.
        """
        path = self._files.path(info.uri)
        if info.digest and not self._is_whole(info.id, path):
            names = sorted(self._files.tree(path))
            check_digest(path, info.digest, _digest(self._files, path, names))
            self._verified[info.id] = _commits(name for name, _ in names)
        return path

    def _is_whole(self, segment: str, path: str) -> bool:
        """Whether a segment was verified, and has all its commits since."""
        commits = self._verified.get(segment)
        return commits is not None and all(
            self._files.count(f"{path}/{folder}") == number for folder, number in commits.items()
        )


def content_digest(files: Files, path: str) -> str:
    """The digest of the segment at a full address, a file or a folder."""
    return _digest(files, path, sorted(files.tree(path)))


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


def _digest(files: Files, path: str, names: Iterable[tuple[str, int]]) -> str:
    return digest_of(
        (name, size if name.endswith(_TILES) else files.get(f"{path}/{name}" if name else path)) for name, size in names
    )


def _commits(names: Iterable[str]) -> dict[str, int]:
    """The number of commits in each folder that has several."""
    folders = Counter(name.rpartition("/")[0] for name in names)
    return {folder: number for folder, number in folders.items() if folder.endswith(_COMMITS) and number > 1}
