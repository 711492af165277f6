"""Read and decode files, a few large ones ahead of the writer on threads, in order, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from numpy.typing import NDArray

from odin_graph.arrays import Rows
from odin_graph.arrays.tiled import SLAB_BYTES
from odin_graph.catalog.images.batch import check_id, check_pixels, image_digest
from odin_graph.catalog.images.sources import is_rows, lazily
from odin_graph.config import Budget
from odin_graph.errors import DataError, OdinError, UnreadableImageError
from odin_graph.ingest.arrays import pixels_of
from odin_graph.ingest.entry import Entry, Part
from odin_graph.ingest.file import File
from odin_graph.ingest.files import file_size, is_text, printable, read_small
from odin_graph.ingest.formats.source import nbytes
from odin_graph.ingest.readers import OpenedFrame, Readers
from odin_graph.ingest.room import Room
from odin_graph.registry import PluginError

_SHARE: Final = 16
_AHEAD_SHARE: Final = 32
"""Share of the budget's memory for files that are decoded ahead; each takes a few times its pixels."""
_AT_ONCE: Final = 256 << 20
"""Bytes of pixels that a row of tiles, or a strip, of a file may take: so many, or a share of the budget."""
_SMALL: Final = 64 << 10
"""Bytes of a file below which it is decoded where it is needed: threads would wait for each other more than work. Where
its pixels take no more, its reader may decode it in one step."""
_BY_PATH: Final = 8 << 20
"""Bytes of a file from which its reader opens it by its name, and may read it a part at a time."""
_AHEAD: Final = 4
"""Files for each thread."""


@dataclass(eq=False, slots=True)  # not frozen, as `Frame`
class Decoded:
    """An entry with its pixels, or with the reason why it has none."""

    entry: Entry
    pixels: NDArray[Any] | Rows | None = None
    file_digest: str | None = None
    data: bytes | None = None
    known: bool = False
    """The file was stored before, byte for byte: it was not decoded."""
    error: OdinError | None = None
    digest: str | None = None
    """Digest of the pixels."""


_Job: TypeAlias = Callable[[], Decoded]


def decoded(
    entries: Iterable[Entry], known: Mapping[str, str], *, budget: Budget, keep_data: bool
) -> Iterator[Decoded]:
    """Each entry in order; large files are decoded ahead, as many at a time as there is room for.

    Args:
        entries: What to read.
        known: The file digest of each id that is stored already.
        budget: Its threads decode (zlib and JPEG let go of the interpreter's lock), within a share of its memory.
        keep_data: Hand the encoded bytes on.
    """
    decoder = _Decoder(Readers.installed(), budget, keep_data)
    most = budget.threads * _AHEAD
    with ThreadPoolExecutor(budget.threads, thread_name_prefix="odin-ingest") as pool:
        waiting: deque[tuple[int, Future[Decoded] | _Job]] = deque()
        try:
            for turn, entry in enumerate(entries):
                job, large = decoder.job(entry, known.get(entry.id), turn)
                if not large and not waiting:
                    yield job()
                    decoder.give(turn)
                    continue
                waiting.append((turn, pool.submit(job) if large else job))
                while waiting and (len(waiting) > most or not isinstance(waiting[0][1], Future)):
                    yield from decoder.result(*waiting.popleft())
            while waiting:
                yield from decoder.result(*waiting.popleft())
        finally:
            decoder.room.turn(1 << 62)  # threads that wait for room go on, and end
            for _, left in waiting:
                if isinstance(left, Future):
                    left.cancel()


class _Decoder:
    """Decodes the files of a call."""

    def __init__(self, readers: Readers, budget: Budget, keep_data: bool) -> None:
        self._readers, self._budget, self._keep_data = readers, budget, keep_data
        self.room = Room(budget.memory // _AHEAD_SHARE)
        self._taken: dict[int, int] = {}
        # The frames of a file come one after the other, on several threads.
        self._opened = lru_cache(budget.threads + 1)(readers.open)
        self._digest_of_files = lru_cache(budget.threads + 1)(_digest_of_files)

    def job(self, entry: Entry, known: str | None, turn: int) -> tuple[_Job, bool]:
        """A function that decodes an entry, and whether that is worth a thread."""
        try:
            if entry.error is not None:
                raise entry.error
            check_id(entry.id)
            if not is_text(entry.id, entry.label, entry.path):
                name = printable(entry.id if entry.path is None else entry.path)
                raise DataError(f"{name}: its name, id or label is not UTF-8, which the graph stores: rename it")
            if entry.path is None:
                return partial(self._array, entry), False
            size = file_size(entry.path)
        except OdinError as error:
            return partial(Decoded, entry, error=error), False
        return partial(self._file, entry, entry.path, size, known, turn), size >= _SMALL

    def result(self, turn: int, job: Future[Decoded] | _Job) -> Iterator[Decoded]:
        """The result of a job, whose memory is free once it has been taken."""
        self.room.turn(turn)
        yield job.result() if isinstance(job, Future) else job()
        self.give(turn)

    def give(self, turn: int) -> None:
        """Give back what the entry of this turn has taken."""
        if size := self._taken.pop(turn, 0):
            self.room.give(size)

    def _array(self, entry: Entry) -> Decoded:
        try:
            pixels = pixels_of(entry.id, entry.pixels)
            check_pixels(entry.id, pixels)  # while it still has its mask
            pixels = lazily(pixels, self._budget.huge)
        except OdinError as error:
            return Decoded(entry, error=error)
        return Decoded(entry, pixels)

    def _file(self, entry: Entry, path: str, size: int, known: str | None, turn: int) -> Decoded:
        try:
            return self._read(entry, path, size, known, turn)
        except OSError as error:
            return Decoded(entry, error=UnreadableImageError(f"{printable(path)}: {error.strerror or error}"))
        except PluginError:  # of a reader, whatever the file
            raise
        except OdinError as error:
            return Decoded(entry, error=error)
        except MemoryError:
            return Decoded(entry, error=UnreadableImageError(f"{printable(path)}: there is not enough memory for it"))

    def _read(self, entry: Entry, path: str, size: int, known: str | None, turn: int) -> Decoded:
        if entry.part is not None:
            return self._frame(entry, path, entry.part, size, known, turn)
        large = size >= _BY_PATH
        if large and known is not None and _digest_of(Path(path)) == known:
            return Decoded(entry, known=True)
        data = None if large else read_small(path, size)
        digest = None if data is None else hashlib.sha256(data).hexdigest()
        if known is not None and digest == known:
            return Decoded(entry, known=True)
        file = File(entry.name, Path(path) if data is None else data, path)
        if data is not None and size < _SMALL and (small := self._readers.small(file, _SMALL)) is not None:
            check_pixels(entry.id, small)
            return Decoded(entry, small, digest, data if self._keep_data else None, digest=image_digest(small))
        pixels, found = self._decode(entry, path, self._readers.open((file,)).image(), size, turn)
        kept = file.read() if self._keep_data else None
        return Decoded(entry, pixels, digest or _digest_of(Path(path)), kept, digest=found)

    def _frame(self, entry: Entry, path: str, part: Part, size: int, known: str | None, turn: int) -> Decoded:
        """An image that is not alone in a file, or is of several files."""
        digest = self._digest_of_files(part.files)
        if known is not None and digest == known:
            return Decoded(entry, known=True)
        opened = self._opened(part.files)
        if self._keep_data and len(opened) + len(part.files) > 2:
            raise UnreadableImageError(
                f"{printable(path)}: files of several images, or of one image in several, are not kept: leave out "
                "keep_originals"
            )
        pixels, found = self._decode(entry, path, opened[part.index], size, turn)
        return Decoded(entry, pixels, digest, Path(path).read_bytes() if self._keep_data else None, digest=found)

    def _decode(
        self, entry: Entry, path: str, source: OpenedFrame, size: int, turn: int
    ) -> tuple[NDArray[Any] | Rows, str]:
        """The pixels and their digest."""
        by_rows = source.at_once is not None and nbytes(source) >= self._budget.huge
        self._check(path, source, size, by_rows)
        self._take(turn, (SLAB_BYTES if by_rows else nbytes(source)) + _beside(source), ahead=size >= _SMALL)
        pixels: NDArray[Any] | Rows = source if by_rows else source.rows(0, source.shape[0])
        pixels = lazily(pixels, self._budget.huge)
        check_pixels(entry.id, pixels)
        return pixels, image_digest(pixels)  # reads a huge one whole, so that a damaged one fails here, alone

    def _check(self, path: str, source: OpenedFrame, size: int, by_rows: bool) -> None:
        if self._keep_data and is_rows(source) and by_rows and size >= self._budget.huge:
            raise UnreadableImageError(
                f"{printable(path)}: files of {self._budget.huge / 2**20:,.0f} MiB and above are not kept: leave out "
                "keep_originals"
            )
        check_memory(path, source, self._budget, by_rows)

    def _take(self, turn: int, size: int, *, ahead: bool) -> None:
        if not ahead:  # it is decoded where it is needed, so all before it have been
            if size < _SMALL:
                return
            self.room.turn(turn)
        self.room.take(size, turn)
        self._taken[turn] = size


def check_memory(path: str, source: OpenedFrame, budget: Budget, by_rows: bool) -> None:
    """Refuse what takes more memory to decode than there is, by rows or whole.

    Raises:
        UnreadableImageError: Names the file, and what to do.
    """
    if (source.at_once or 0) > (most := max(_AT_ONCE, budget.memory // _SHARE)):
        raise UnreadableImageError(
            f"{printable(path)}: {(source.at_once or 0) / 2**20:,.0f} MiB of its pixels can only be decoded "
            f"together, and {most / 2**20:,.0f} MiB may be: write it again in tiles (tiffcp -t, or vips tiffsave "
            "--tile)"
        )
    whole = nbytes(source) + _beside(source)
    if not by_rows and whole > (most := max(_AT_ONCE, budget.memory // 2)):
        raise UnreadableImageError(
            f"{printable(path)}: it takes {whole / 2**20:,.0f} MiB to decode, and {most / 2**20:,.0f} MiB are "
            "available: write it as tiled TIFF, which is read a part at a time"
        )


def _beside(source: OpenedFrame) -> int:
    """Bytes that decoding takes beside the pixels."""
    return int(source.takes or (nbytes(source) if source.at_once is None else source.at_once))


def _digest_of_files(files: Sequence[File]) -> str:
    """Over the bytes of all of them, one file after the other."""
    digest = hashlib.sha256()
    for file in files:
        with file.open() as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
