"""Read and decode files on threads, a few ahead of the writer, in order."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.reader import Readers


@dataclass(frozen=True, eq=False, slots=True)
class Decoded:
    """An entry with its pixels, or with the reason why it has none."""

    entry: Entry
    pixels: NDArray[Any] | None = None
    file_digest: str | None = None
    data: bytes | None = None
    known: bool = False
    """The file was stored before, byte for byte: it was not decoded."""
    error: UnreadableImageError | None = None


def decoded(entries: Iterable[Entry], known: Mapping[str, str], *, threads: int, keep_data: bool) -> Iterator[Decoded]:
    """Each entry in order, with a few read ahead.

    Args:
        entries: What to read.
        known: The file digest of each id that is stored already.
        threads: Zlib and JPEG decoding let go of the interpreter's lock.
        keep_data: Hand the encoded bytes on.
    """
    readers = Readers.installed()
    with ThreadPoolExecutor(threads, thread_name_prefix="odin-ingest") as pool:
        waiting: deque[Future[Decoded]] = deque()
        try:
            for entry in entries:
                waiting.append(pool.submit(_decode, entry, readers, known.get(entry.id), keep_data))
                if len(waiting) > threads * 4:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _decode(entry: Entry, readers: Readers, known: str | None, keep_data: bool) -> Decoded:
    if entry.path is None:
        return Decoded(entry, entry.pixels)
    try:
        data = entry.path.read_bytes()
    except OSError as error:
        return Decoded(entry, error=UnreadableImageError(f"{entry.path}: {error.strerror or error}"))
    digest = hashlib.sha256(data).hexdigest()
    if digest == known:
        return Decoded(entry, known=True)
    try:
        pixels = readers.read(entry.path, data)
    except UnreadableImageError as error:
        return Decoded(entry, error=error)
    return Decoded(entry, pixels, digest, data if keep_data else None)
