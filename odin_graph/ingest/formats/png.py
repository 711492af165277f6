"""PNG in its own depth, of any size: rows are inflated and decoded some at a time.

A row of PNG is stored as differences from the row above and the pixel to the left. Pillow undoes that in C for
any bytes, by `Image.frombytes`: a pixel of one to four bytes is taken for one of so many bands, and of one of six or
eight bytes the high and the low half of each number are taken in turn. Each part begins with the row above it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File, Origin
from odin_graph.ingest.formats.orientation import UPRIGHT, upright, upright_shape
from odin_graph.ingest.formats.png_parts import DEEPEST, GRAY, Parts, check, plain_header
from odin_graph.ingest.formats.source import broken, nbytes, one_image, opened
from odin_graph.ingest.frame import Contents
from odin_graph.ingest.reader import Reader

try:
    import imagecodecs
except ImportError:  # without it the same pixels take twice the time
    imagecodecs = None  # type: ignore[assignment]

_MARK: Final = b"\x89PNG\r\n\x1a\n"
_MODES: Final = {
    1: ("L", "L"),
    2: ("LA", "LA"),
    3: ("RGB", "RGB"),
    4: ("RGBA", "RGBA"),
    6: ("RGB", "RGB;16"),
    8: ("RGBA", "RGBA;16"),
}
"""Pillow's mode and packing of a pixel of so many bytes; of the last two, each half of a number is read by itself."""
_BOOL: Final = np.dtype(np.bool_)
_UINT8: Final = np.dtype(np.uint8)
_UINT16: Final = np.dtype(np.uint16)
_PART: Final = 4 << 20
"""Bytes of rows that are decoded together."""
_PIECE: Final = 1 << 20
"""Bytes that are inflated together."""
_PASSES: Final = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Of an interlaced file: first row and column of each pass, and the steps to the next."""


class PngSource:
    """The image of a file, read by rows; see `odin_graph.ingest.formats.source.Source`.

    Gray of 1 bit is bool, gray of 2 and 4 bits is spread over 0 to 255, palettes are their colors. What a file says is
    transparent is an alpha band.

    Raises:
        UnreadableImageError: It is broken, or of a kind that is not read; with the reason.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._reading: _Reading | None = None
        try:
            with opened(origin) as file:
                parts = Parts(file)
            self._palette, self._clear = parts.palette(), parts.clear()
        except (UnreadableImageError, OSError):
            raise
        except Exception as error:  # what is damaged raises anything
            raise broken(error) from error
        self._header = head = parts.header
        self._places, self._orientation = parts.places, parts.orientation
        is_bool = head.depth == 1 and head.color == GRAY and not self._clear
        self.dtype: np.dtype[Any] = _UINT16 if head.depth == DEEPEST else _BOOL if is_bool else _UINT8
        bands = head.samples + bool(self._clear) if self._palette is None else self._palette.shape[1]
        self._shape = (head.height, head.width, bands)
        self.shape = upright_shape(self._shape, self._orientation)
        whole = head.interlaced or self._orientation != UPRIGHT
        self._at_once = None if whole else min(4 * _PART, 4 * nbytes(self)) + 4 * head.stride(head.width)

    @property
    def at_once(self) -> int | None:
        """Bytes of some rows; None for what is interlaced or turned, which is decoded whole."""
        return self._at_once

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        try:
            if self.at_once is None:
                whole = self._interlaced() if self._header.interlaced else self._straight(0, self._header.height)
                return np.ascontiguousarray(upright(whole, self._orientation)[first:end])
            with self._lock:
                return self._straight(first, end)
        except (UnreadableImageError, OSError):
            raise
        except Exception as error:  # a broken file makes decoders raise anything
            raise broken(error) from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None, "_reading": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _straight(self, first: int, end: int) -> NDArray[Any]:
        head = self._header
        stride = head.stride(head.width)
        plain = head.depth >= 8 and not self._clear and self._palette is None
        if plain and end - first == head.height and imagecodecs is not None:
            data = self._origin if isinstance(self._origin, bytes) else self._origin.read_bytes()
            whole: NDArray[Any] = imagecodecs.png_decode(data)  # libpng takes half the time, for the same pixels
            return whole.reshape(self._shape)
        if isinstance(self._origin, bytes) and len(self._places) == 1 and (stride + 1) * head.height <= _PART:
            start, length = self._places[0]  # a small file is decoded in one step
            body = self._origin[start : start + length]
            check(b"IDAT", body, self._origin[start + length : start + length + 4])
            return self._pixels(_decoded(body, head.height, stride, head.step), head.width)[first:end]
        reading = self._reading
        if reading is None or reading.row > first:
            reading = self._reading = _Reading(self._origin, self._places, stride)
        found = np.empty((end - first, *self._shape[1:]), self.dtype)
        tall = max(1, _PART // (stride + 1))
        while reading.row < end:
            row = reading.row
            # What lies before the rows asked for is decoded too, since each row needs the one above.
            block = self._pixels(reading.next(min(tall, (first if row < first else end) - row), head.step), head.width)
            if row >= first:
                found[row - first : row - first + len(block)] = block
        if end == head.height:
            reading.finish()
            self._reading = None
        return found

    def _interlaced(self) -> NDArray[Any]:
        head = self._header
        found = np.empty(self._shape, self.dtype)
        reading = _Reading(self._origin, self._places, 0)
        for top, left, down, along in _PASSES:
            height, width = -(-(head.height - top) // down), -(-(head.width - left) // along)
            if height > 0 and width > 0:
                stride = head.stride(width)
                raw = _unfiltered(reading.take(height * (1 + stride)), height, stride, head.step)
                found[top::down, left::along] = self._pixels(raw, width)
        reading.finish()
        return found

    def _pixels(self, raw: NDArray[np.uint8], width: int) -> NDArray[Any]:
        """Rows of bytes (h, stride) as pixels (h, width, bands)."""
        depth = self._header.depth
        values = _values(raw, width, self._header.samples, depth)
        if self._palette is not None:
            if int(values.max()) >= len(self._palette):
                raise broken("a pixel has a color that its palette does not")
            colors: NDArray[Any] = self._palette[values[..., 0]]
            return colors
        if not self._clear:
            return values.astype(np.bool_) if depth == 1 else _spread(values, depth)
        opaque = (values != np.array(self._clear, values.dtype)).any(axis=2, keepdims=True)
        shown = _spread(values, depth)
        return np.concatenate([shown, opaque * np.array(np.iinfo(shown.dtype).max, shown.dtype)], axis=2)


class _Reading:
    """The rows of a file, one part after the other."""

    def __init__(self, origin: Origin, places: list[tuple[int, int]], stride: int) -> None:
        self.row = 0
        self._stride = stride
        self._pieces = _inflated(origin, places)
        self._rest = b""
        self._above: bytes | None = None

    def take(self, size: int) -> bytes:
        """The next so many bytes."""
        parts, got = [self._rest], len(self._rest)
        while got < size:
            piece = next(self._pieces, None)
            if piece is None:
                raise broken(f"{got:,} of {size:,} bytes of its next rows are there")
            parts.append(piece)
            got += len(piece)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def finish(self) -> None:
        """Read what is left, for its checksum."""
        for _ in self._pieces:
            pass

    def next(self, number: int, step: int) -> NDArray[np.uint8]:
        """The next rows (number, stride) of bytes."""
        lines = self.take(number * (1 + self._stride))
        if self._above is None:
            raw = _unfiltered(lines, number, self._stride, step)
        else:
            raw = _unfiltered(b"\0" + self._above + lines, number + 1, self._stride, step)[1:]
        self._above = raw[-1].tobytes()
        self.row += number
        return raw


def _inflated(origin: Origin, places: list[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes of the rows, a piece at a time."""
    unpack = zlib.decompressobj()
    with opened(origin) as file:
        for start, length in places:
            file.seek(start)
            checksum = zlib.crc32(b"IDAT")
            for begin in range(0, length, _PIECE):
                packed = file.read(min(_PIECE, length - begin))
                checksum = zlib.crc32(packed, checksum)
                while packed and not unpack.eof:
                    if piece := unpack.decompress(packed, _PIECE):
                        yield piece
                    packed = unpack.unconsumed_tail
            if checksum.to_bytes(4, "big") != file.read(4):
                raise broken("the checksum of its part IDAT is wrong")
    while piece := unpack.decompress(b"", _PIECE):
        yield piece


def _unfiltered(lines: bytes, height: int, stride: int, step: int) -> NDArray[np.uint8]:
    """Rows (h, stride) of bytes, of rows that each begin with the number of their filter."""
    return _decoded(zlib.compress(lines, 0), height, stride, step)


def _decoded(packed: bytes, height: int, stride: int, step: int) -> NDArray[np.uint8]:
    mode, packing = _MODES[step]
    size = stride // step, height
    if not packing.endswith("16"):
        image = Image.frombytes(mode, size, packed, "zip", packing, 0)
        return np.frombuffer(image.tobytes(), np.uint8).reshape(height, stride)
    # Numbers of two bytes, the high one first: the packing of those with the low one first gives the other half.
    halves = [Image.frombytes(mode, size, packed, "zip", f"{packing}{end}", 0) for end in "BL"]
    return np.stack([np.asarray(half) for half in halves], axis=-1).reshape(height, stride)


def _values(raw: NDArray[np.uint8], width: int, samples: int, depth: int) -> NDArray[Any]:
    """Numbers (h, width, samples) of rows of bytes."""
    if depth == DEEPEST:
        return raw.view(">u2").astype(np.uint16).reshape(len(raw), width, samples)
    if depth < 8:
        shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
        packed = (raw[:, :, np.newaxis] >> shifts) & np.uint8((1 << depth) - 1)
        raw = packed.reshape(len(raw), -1)[:, :width]
    return raw.reshape(len(raw), width, samples)


def _spread(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Gray of 1, 2 and 4 bits over 0 to 255, as PNG has it: white stays white."""
    return values * np.uint8(255 // ((1 << depth) - 1)) if depth < 8 else values


class PngReader(Reader):
    """PNG."""

    formats: ClassVar[tuple[str, ...]] = ("PNG",)
    single: ClassVar[bool] = True

    def accepts(self, file: File) -> bool:
        """By its mark."""
        return file.head.startswith(_MARK)

    def open(self, files: Sequence[File]) -> Contents:
        """One image, read by rows."""
        return one_image(PngSource(files[0].origin))

    def small(self, data: bytes, most: int) -> NDArray[Any] | None:
        """By libpng, where all of it are ordinary pixels."""
        try:
            head = plain_header(data) if imagecodecs is not None else None
            if head is None or head.stride(head.width) * head.height > most:
                return None
            found: NDArray[Any] = imagecodecs.png_decode(data)
        except Exception:  # noqa: BLE001 - it is opened next, for what is wrong with it
            return None
        return found.reshape(head.height, head.width, head.samples)


READER: Final = PngReader()
