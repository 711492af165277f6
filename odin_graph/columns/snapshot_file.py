"""Metadata columns on disk, so that the next process need not read the graph again.

Two files: the columns, which are mapped into memory, and a note of which state of the graph they are of, with a
checksum of each. The note is replaced as a whole, and names the file that it is about.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import zlib
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import feather

from odin_graph.folder import make_near
from odin_graph.graph.journal import Point
from odin_graph.graph.token import ChangeToken

_FORMAT: Final = 3
"""Of the notes; others are not read."""


class SavedTable:
    """A table that was saved; its columns are checked when they are first read.

    Args:
        table: Mapped from the file.
        point: The state that it is of.
        checksums: By column.
    """

    def __init__(self, table: pa.Table, point: Point, checksums: dict[str, int]) -> None:
        self.table = table
        self.point = point
        self._checksums = checksums

    def is_whole(self, name: str) -> bool:
        """Whether a column is as it was saved."""
        return _checksum(self.table.column(name)) == self._checksums.get(name)


def load(note: Path) -> SavedTable | None:
    """The table that was saved last; None where there is none, or it is damaged."""
    try:
        body, digest = note.read_text().rsplit("\n", 1)
        if digest != _digest(body):
            return None
        noted = json.loads(body)
        if noted["format"] != _FORMAT:
            return None
        table = feather.read_table(note.parent / noted["file"], memory_map=True)
        return SavedTable(table, _point(noted["point"]), noted["checksums"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid):
        return None


def save(note: Path, table: pa.Table, point: Point) -> SavedTable | None:
    """Save a table with the state that it is of, in the place of the one before; None where that fails.

    A failure costs only time.
    """
    file = note.with_name(f"{note.stem}-{secrets.token_hex(8)}.arrow")
    new = note.with_name(f"{file.stem}.new")
    try:
        make_near(note.parent)
        # Uncompressed: a mapped table takes no memory of ours, and pages that nobody reads are never loaded.
        feather.write_feather(table, file, compression="uncompressed", chunksize=max(1, table.num_rows))
        mapped = feather.read_table(file, memory_map=True)
        checksums = {name: _checksum(mapped.column(name)) for name in mapped.column_names}
        body = json.dumps({"format": _FORMAT, "file": file.name, "point": _noted(point), "checksums": checksums})
        new.write_text(f"{body}\n{_digest(body)}")
        new.replace(note)
    except (OSError, pa.ArrowException):
        for left in (file, new):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)
        return None
    _remove_others(note)
    return SavedTable(mapped, point, checksums)


def _remove_others(note: Path) -> None:
    """Remove the files that no note names any more; who has them mapped still reads them."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        named = json.loads(note.read_text().rsplit("\n", 1)[0])["file"]
        age = (note.parent / named).stat().st_mtime
        for file in note.parent.glob(f"{note.stem}-*"):
            if file.name != named and file.stat().st_mtime <= age:
                file.unlink(missing_ok=True)


def _checksum(column: pa.ChunkedArray) -> int:
    total = 0
    for chunk in column.chunks:
        for buffer in chunk.buffers():
            if buffer is not None:
                total = zlib.crc32(buffer, total)
    return total


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _noted(point: Point) -> dict[str, Any]:
    counters = point.token.counters
    return {
        "generation": point.token.generation,
        "counters": counters if isinstance(counters, str) else list(counters),
        "foreign": point.foreign,
        "changes": point.changes,
        "seen": sorted(point.seen),
    }


def _point(noted: dict[str, Any]) -> Point:
    counters = noted["counters"]
    token = ChangeToken(noted["generation"], counters if isinstance(counters, str) else tuple(counters))
    return Point(token, noted["foreign"], noted["changes"], frozenset(noted["seen"]))
