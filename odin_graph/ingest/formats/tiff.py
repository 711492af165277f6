"""TIFF by tifffile alone, tile row by tile row: any size, any depth, any number of bands.

Pillow reads some of these files too, and gives other numbers: signed ones come as unsigned, 16 bits as 8. So what
tifffile cannot decode is refused, and the same file has the same pixels everywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from odin_graph.arrays.boxes import Box
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File, Origin
from odin_graph.ingest.formats.orientation import upright, upright_shape
from odin_graph.ingest.formats.source import broken, nbytes, opened
from odin_graph.ingest.formats.tiff_color import Color
from odin_graph.ingest.formats.tiff_page import checked, codec_missing, image_page
from odin_graph.ingest.frame import Contents, Frame
from odin_graph.ingest.reader import Reader

_BY_ROWS: Final = (1, 2, 3, 4)
"""Orientations that leave rows rows."""
_FROM_BELOW: Final = (3, 4)
_FROM_RIGHT: Final = (2, 3)
_MARKS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_UNPACKS: Final = 5_000
"""Times its own size beyond which a huge file is taken for a bomb; what compresses best does so about 1,000 times."""


class TiffSource:
    """The first image of a file, by rows or boxes; see `odin_graph.ingest.formats.source.Source`. A reading opens it.

    Raises:
        UnreadableImageError: It is no TIFF, or one that cannot be read as it is; with the reason alone.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._cached: tuple[int, NDArray[Any]] | None = None
        with opened(origin) as file, _tiff(file) as tiff:
            page = image_page(tiff)
            self._page = checked(page)
            self._color = Color.of(page)
        found = self._page
        self._stored_shape = (found.height, found.width, found.bands)
        self._shape = (found.height, found.width, self._color.bands)
        self.shape = upright_shape(self._shape, found.orientation)
        self.dtype: np.dtype[Any] = self._color.dtype
        if nbytes(self) > max(1 << 30, _UNPACKS * found.file_size):
            raise UnreadableImageError(
                f"it would unpack from {found.file_size / 2**20:,.1f} MiB to {nbytes(self) / 2**20:,.0f} MiB, which is "
                "more than is safe: add the array if you trust it"
            )

    @property
    def at_once(self) -> int | None:
        """Bytes of a row of tiles, or a strip; None for what is turned, which is decoded whole."""
        page = self._page
        if page.orientation not in _BY_ROWS:
            return None
        if page.offset is not None:
            return 0
        return page.tall * page.across * (page.bands * page.dtype.itemsize + self._color.bands * self.dtype.itemsize)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        return self.read((0, first, self.shape[1], end))

    def read(self, box: Box) -> NDArray[Any]:
        """Pixels of a box (left, top, right, bottom): of tiles just those are decoded that it touches."""
        page, (left, top, right, bottom) = self._page, box
        try:
            if page.orientation not in _BY_ROWS:
                whole = upright(self._color.shown(self._rows(0, page.height)), page.orientation)
                return np.ascontiguousarray(whole[top:bottom, left:right])
            if page.orientation in _FROM_BELOW:
                top, bottom = page.height - bottom, page.height - top
            if page.orientation in _FROM_RIGHT:
                left, right = page.width - right, page.width - left
            found = self._rows(top, bottom) if right - left == page.width else self._box(left, top, right, bottom)
            return np.ascontiguousarray(upright(self._color.shown(found), page.orientation))
        except (UnreadableImageError, OSError):
            raise
        except Exception as error:  # a broken file makes decoders raise anything
            raise broken(error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_cached": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _rows(self, first: int, end: int) -> NDArray[Any]:
        """Rows of numbers as the file has them."""
        page = self._page
        found = np.empty((end - first, page.width, page.bands), page.dtype)
        if page.offset is not None:
            self._copy(found, first, end)
            return found
        with self._lock, opened(self._origin) as opened_file, _tiff(opened_file) as file:
            file_page = image_page(file)
            for start in range(first // page.tall * page.tall, end, page.tall):
                if self._cached is None or self._cached[0] != start:
                    self._cached = None  # before the next one is made: two would be twice the memory
                    self._cached = (start, self._decoded(file, file_page, start, 0, page.width))
                block = self._cached[1]
                low, high = max(first, start), min(end, start + len(block))
                found[low - first : high - first] = block[low - start : high - start]
            if end == page.height or first == 0:
                self._cached = None
        return found

    def _box(self, left: int, top: int, right: int, bottom: int) -> NDArray[Any]:
        """A part of some rows, of numbers as the file has them; nothing is cached."""
        own = self._page
        found = np.empty((bottom - top, right - left, own.bands), own.dtype)
        if own.offset is not None:  # a row at a time, as the whole width may be more than there is memory for
            line = np.empty((1, own.width, own.bands), own.dtype)
            for row in range(top, bottom):
                self._copy(line, row, row + 1)
                found[row - top] = line[0, left:right]
            return found
        with opened(self._origin) as opened_file, _tiff(opened_file) as file:
            page = image_page(file)
            for start in range(top // own.tall * own.tall, bottom, own.tall):
                block = self._decoded(file, page, start, left, right)
                low, high = max(top, start), min(bottom, start + len(block))
                found[low - top : high - top] = block[low - start : high - start]
        return found

    def _copy(self, found: NDArray[Any], first: int, end: int) -> None:
        """Read rows of what lies in the file as it is in memory."""
        page = self._page
        line = page.width * (page.bands if page.planes == 1 else 1)
        with opened(self._origin) as file:
            for plane in range(page.planes):
                file.seek(int(page.offset or 0) + (plane * page.height + first) * line * page.stored.itemsize)
                size = (end - first) * line * page.stored.itemsize
                data = file.read(size)
                if len(data) < size:
                    raise broken(f"{len(data):,} of {size:,} bytes of rows {first:,} to {end:,} are there")
                part = np.frombuffer(data, page.stored)
                if page.planes == 1:
                    found[...] = part.reshape(found.shape)
                else:
                    found[:, :, plane] = part.reshape(end - first, page.width)

    def _decoded(
        self, file: tifffile.TiffFile, page: tifffile.TiffPage, start: int, left: int, right: int
    ) -> NDArray[Any]:
        """Some columns of a row of tiles, or of a strip, that begins in a row."""
        own = self._page
        found = np.full((min(own.tall, own.height - start), right - left, own.bands), own.empty, own.dtype)
        down = -(-own.height // own.tall)
        wide = int(page.tilewidth) if page.is_tiled else own.width
        across = -(-own.width // wide)
        for plane in range(own.planes):
            begin = (plane * down + start // own.tall) * across
            for number in range(begin + left // wide, begin - (-right // wide)):
                part, place = _segment(file, page, number)
                if part is None:
                    continue  # a sparse file leaves out tiles of zeros
                part = part[0, : len(found), : own.width - place[3]]
                if own.dtype.kind == "b" and part.dtype == np.uint8:
                    part = part.astype(np.bool_)  # of the decoders of fax
                if part.dtype != own.dtype or part.shape[0] < len(found):
                    raise broken(f"from row {start:,} on it is {part.dtype} of {len(part):,} rows")
                low, high = max(left, place[3]), min(right, place[3] + part.shape[1])
                into = slice(None) if own.planes == 1 else slice(plane, plane + 1)
                found[: len(part), low - left : high - left, into] = part[:, low - place[3] : high - place[3]]
        return found if own.mask is None else found & own.mask


def _tiff(file: BinaryIO) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(file)
    except Exception as error:
        raise broken(error) from error


def _segment(file: tifffile.TiffFile, page: tifffile.TiffPage, number: int) -> tuple[NDArray[Any] | None, Any]:
    size = page.databytecounts[number]
    file.filehandle.seek(page.dataoffsets[number])
    data = file.filehandle.read(size) if size else None
    if data is not None and len(data) < size:
        raise broken(f"{len(data):,} of {size:,} bytes of its part {number:,} are there")
    try:
        part, place, _ = page.decode(data, number, jpegtables=page.jpegtables)
    except (ImportError, NotImplementedError) as error:  # raised by tifffile's own code, where imagecodecs is missing
        raise codec_missing(page) from error
    return part, place


class TiffReader(Reader):
    """TIFF and BigTIFF that hold one image."""

    formats: ClassVar[tuple[str, ...]] = ("TIFF",)
    single: ClassVar[bool] = True

    def accepts(self, file: File) -> bool:
        """By its mark."""
        return file.head.startswith(_MARKS)

    def open(self, files: Sequence[File]) -> Contents:
        """One image, read by rows of tiles or by tiles."""
        source = TiffSource(files[0].origin)
        return Contents((Frame(source.shape, source.dtype, source.read, at_once=source.at_once),))


READER: Final = TiffReader()
