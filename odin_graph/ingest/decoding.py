"""Read and decode files on threads, a few ahead of the writer, in order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from odin_graph.arrays import Rows
from odin_graph.catalog.sources import lazily
from odin_graph.config import Budget
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.reader import Readers
from odin_graph.ingest.tiff import SUFFIXES, TiffSource

_SHARE: Final = 16
_AT_ONCE: Final = 256 << 20
"""Bytes of pixels that a row of tiles, or a strip, of a file may take: so many, or a share of the budget."""


@dataclass(frozen=True, eq=False, slots=True)
class Decoded:
    """An entry with its pixels, or with the reason why it has none."""

    entry: Entry
    pixels: NDArray[Any] | Rows | None = None
    file_digest: str | None = None
    data: bytes | None = None
    known: bool = False
    """The file was stored before, byte for byte: it was not decoded."""
    error: UnreadableImageError | None = None


def decoded(
    entries: Iterable[Entry], known: Mapping[str, str], *, budget: Budget, keep_data: bool
) -> Iterator[Decoded]:
    """Each entry in order, with a few read ahead.

    Args:
        entries: What to read.
        known: The file digest of each id that is stored already.
        budget: Its threads decode (zlib and JPEG let go of the interpreter's lock); what is huge is read by rows.
        keep_data: Hand the encoded bytes on.
    """
    readers, threads = Readers.installed(), budget.threads
    with ThreadPoolExecutor(threads, thread_name_prefix="odin-ingest") as pool:
        waiting: deque[Future[Decoded]] = deque()
        try:
            for entry in entries:
                waiting.append(pool.submit(_decode, entry, readers, budget, known.get(entry.id), keep_data))
                if len(waiting) > threads * 4:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode(entry: Entry, readers: Readers, budget: Budget, known: str | None, keep_data: bool) -> Decoded:
    if entry.path is None:
        return Decoded(entry, lazily(entry.pixels, budget.huge))
    try:
        if entry.path.suffix.lower() in SUFFIXES:
            return _decode_tiff(entry, entry.path, readers, budget, known, keep_data)
        data = entry.path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest == known:
            return Decoded(entry, known=True)
        return Decoded(entry, readers.read(entry.path, data), digest, data if keep_data else None)
    except OSError as error:
        return Decoded(entry, error=UnreadableImageError(f"{entry.path}: {error.strerror or error}"))
    except UnreadableImageError as error:
        return Decoded(entry, error=error)


def _decode_tiff(
    entry: Entry, path: Path, readers: Readers, budget: Budget, known: str | None, keep_data: bool
) -> Decoded:
    """By tifffile where it can, so that a huge file is never held whole; else by the reader of such files."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == known:
        return Decoded(entry, known=True)
    try:
        source = TiffSource(path)
    except UnreadableImageError as why:
        data = path.read_bytes()
        try:
            return Decoded(entry, readers.read(path, data), digest, data if keep_data else None)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{str(error).rstrip('.')} (and tifffile: {why})") from error
    if source.nbytes < budget.huge:
        return Decoded(entry, source.rows(0, source.shape[0]), digest, path.read_bytes() if keep_data else None)
    if keep_data and path.stat().st_size >= budget.huge:
        raise UnreadableImageError(
            f"{path}: files of {budget.huge / 2**20:,.0f} MiB and above are not kept: leave out keep_originals"
        )
    if source.at_once > (most := max(_AT_ONCE, budget.memory // _SHARE)):
        raise UnreadableImageError(
            f"{path}: {source.at_once / 2**20:,.0f} MiB of its pixels can only be decoded together, and "
            f"{most / 2**20:,.0f} MiB may be: write it again in tiles (tiffcp -t, or vips tiffsave --tile)"
        )
    return Decoded(entry, source, digest, path.read_bytes() if keep_data else None)
