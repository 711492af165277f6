"""TIFF by tifffile, tile row by tile row: any size, integers and floats of any depth, any number of bands.

What a file says of colour that is more than numbers (palettes, CMYK, JPEG's YCbCr, white as zero, an orientation) is
left to Pillow, and so is what is compressed in a way that tifffile has no code for.
"""

from __future__ import annotations

import threading
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError

SUFFIXES: Final = frozenset({".tif", ".tiff"})
_PLAIN: Final = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
_UPRIGHT: Final = 1
_ASSOCIATED: Final = 1
"""Of an extra band: colours are multiplied with it."""


class TiffSource:
    """The first image of a file, read by rows; see `odin_graph.arrays.Rows`. The file is opened at each reading.

    Raises:
        UnreadableImageError: It is no TIFF, or one that cannot be read as it is; with the reason alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held: tuple[int, NDArray[Any]] | None = None
        with _opened(path) as file:
            page = _page(file)
            self.shape = (int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel))
            self.dtype: np.dtype[Any] = np.dtype(page.dtype).newbyteorder("=")
            self._tall = int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))
            self._planes = 1 if page.planarconfig == tifffile.PLANARCONFIG.CONTIG else self.shape[2]
            self._compressed = page.compression != tifffile.COMPRESSION.NONE or page.predictor != 1 or page.is_tiled
            self._offset = int(page.dataoffsets[0]) if page.is_contiguous and not self._compressed else None
            self._stored = np.dtype(page.dtype).newbyteorder(file.byteorder)
            self._decodes(page)

    @property
    def nbytes(self) -> int:
        """Of the pixels in memory."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def at_once(self) -> int:
        """Bytes of pixels that are decoded together: a row of tiles, or a strip."""
        return 0 if self._offset is not None else self._tall * prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands).

        Raises:
            UnreadableImageError: Names the file.
        """
        try:
            return self._rows(first, end)
        except Exception as error:  # a broken file makes decoders raise anything
            raise UnreadableImageError(f"{self._path}: it is broken ({str(error) or type(error).__name__})") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_held": None}

    def _rows(self, first: int, end: int) -> NDArray[Any]:
        _, width, bands = self.shape
        found = np.empty((end - first, width, bands), self.dtype)
        if self._offset is not None:
            self._copy(found, first, end)
            return found
        with self._lock, _opened(self._path) as file:
            page = _page(file)
            for start in range(first // self._tall * self._tall, end, self._tall):
                if self._held is None or self._held[0] != start:
                    self._held = None  # before the next one is made: two would be twice the memory
                    self._held = (start, self._decoded(file, page, start))
                held = self._held[1]
                low, high = max(first, start), min(end, start + len(held))
                found[low - first : high - first] = held[low - start : high - start]
            if end == self.shape[0]:
                self._held = None
        return found

    def _copy(self, found: NDArray[Any], first: int, end: int) -> None:
        """Read rows of what lies in the file as it is in memory."""
        height, width, bands = self.shape
        planes = range(self._planes)
        line = width * (bands if self._planes == 1 else 1)
        with self._path.open("rb") as file:
            for plane in planes:
                offset = int(self._offset or 0) + (plane * height + first) * line * self._stored.itemsize
                file.seek(offset)
                data = file.read((end - first) * line * self._stored.itemsize)
                part = np.frombuffer(data, self._stored)
                if self._planes == 1:
                    found[...] = part.reshape(found.shape)
                else:
                    found[:, :, plane] = part.reshape(end - first, width)

    def _decoded(self, file: tifffile.TiffFile, page: tifffile.TiffPage, start: int) -> NDArray[Any]:
        """A row of tiles, or a strip, that begins in a row."""
        height, width, bands = self.shape
        held = np.zeros((min(self._tall, height - start), width, bands), self.dtype)
        down = -(-height // self._tall)
        across = -(-width // page.tilewidth) if page.is_tiled else 1
        for plane in range(self._planes):
            begin = (plane * down + start // self._tall) * across
            for number in range(begin, begin + across):
                part, place = _segment(file, page, number)
                if part is None:
                    continue  # a sparse file leaves out tiles of zeros
                left = place[3]
                part = part[0, : len(held), : width - left]
                into = slice(None) if self._planes == 1 else slice(plane, plane + 1)
                held[: len(part), left : left + part.shape[1], into] = part
        return held

    def _decodes(self, page: tifffile.TiffPage) -> None:
        """Refuse what tifffile has no code for: it says so when it looks for it."""
        try:
            page.decode  # noqa: B018 - the look-up is what may fail
            if not page.decode(None, 0)[2]:
                raise ValueError("it has no segments")
        except Exception as error:
            name = getattr(page.compression, "name", page.compression)
            raise UnreadableImageError(
                f'it is compressed as {name}, which needs the package imagecodecs: pip install "odin-graph[tiff]"'
            ) from error


def _opened(path: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(path)
    except Exception as error:
        raise UnreadableImageError(f"it is no TIFF file ({str(error) or type(error).__name__})") from error


def _page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """The page that holds the image; smaller versions of it and masks may follow."""
    page = file.pages.first
    full = [held for held in file.pages if not held.aspage().is_reduced] if len(file.pages) > 1 else [page]
    if len(full) > 1:
        raise UnreadableImageError(f"it holds {len(full)} frames: hand them in as arrays, or as a volume")
    if page.photometric not in _PLAIN:
        raise UnreadableImageError(f"its colours are {getattr(page.photometric, 'name', page.photometric)}")
    orientation = page.tags.get("Orientation")
    if orientation is not None and orientation.value != _UPRIGHT:
        raise UnreadableImageError(f"its orientation is {orientation.value}")
    if _ASSOCIATED in tuple(page.extrasamples):
        raise UnreadableImageError("its colours are multiplied with their opacity")
    if page.dtype is None or page.bitspersample != page.dtype.itemsize * 8 or page.dtype.kind not in "uif":
        raise UnreadableImageError(f"its numbers are of {page.bitspersample} bits")
    if page.imagedepth != 1 or len(page.dataoffsets) == 0:
        raise UnreadableImageError("it is a volume, or holds nothing")
    return page


def _segment(file: tifffile.TiffFile, page: tifffile.TiffPage, number: int) -> tuple[NDArray[Any] | None, Any]:
    file.filehandle.seek(page.dataoffsets[number])
    data = file.filehandle.read(page.databytecounts[number]) if page.databytecounts[number] else None
    part, place, _ = page.decode(data, number, jpegtables=page.jpegtables)
    return part, place
