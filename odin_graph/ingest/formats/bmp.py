"""BMP of 16 bits a pixel, and of other bands than three or four of 8 bits: Pillow drops an alpha of one bit."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File
from odin_graph.ingest.formats.pillow import PillowSource
from odin_graph.ingest.formats.source import broken, check_size, one_image
from odin_graph.ingest.frame import Contents
from odin_graph.ingest.reader import Reader

_BITFIELDS: Final = (3, 6)
_OF_15_BITS: Final = (0x7C00, 0x03E0, 0x001F, 0)
_LEAST: Final = 40
"""Bytes of the oldest header that has masks."""
_V3: Final = 56
"""Bytes of the oldest header that has a mask of alpha."""


@dataclass(frozen=True, slots=True)
class _Header:
    start: int
    width: int
    height: int
    top_down: bool
    bits: int
    masks: tuple[int, ...]


class BmpSource:
    """The image of a file whose bands are packed by masks; see `odin_graph.ingest.formats.source.Source`.

    Bands are spread over 0 to 255. There is an alpha band where the file's header has a mask for one.
    """

    at_once: int | None = None
    dtype: Final = np.dtype(np.uint8)

    def __init__(self, data: bytes, head: _Header) -> None:
        self._data, self._head = data, head
        self._masks = [mask for mask in head.masks if mask]
        self.shape = (head.height, head.width, len(self._masks))

    @classmethod
    def of(cls, data: bytes) -> BmpSource | None:
        """None for what Pillow reads as it is: palettes, and bands of 8 bits.

        Raises:
            UnreadableImageError: Bands that are missing, overlap, or have more than 8 bits.
        """
        head = _header(data)
        if head is None:
            return None
        if not all(head.masks[:3]):
            raise UnreadableImageError("it is a BMP without one of red, green and blue: save it as PNG")
        if max(mask.bit_count() for mask in head.masks) > 8:
            raise UnreadableImageError("it is a BMP of more than 8 bits a band: save it as PNG of 16 bits")
        if any(not _joined(mask) for mask in head.masks):
            raise broken("its masks are of no BMP that there is")
        check_size(head.width, head.height)
        return cls(data, head)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        head = self._head
        stored = np.dtype(f"<u{head.bits // 8}")
        stride = -(-head.width * head.bits // 32) * 4
        size = stride * head.height
        if len(self._data) < head.start + size:
            raise broken(f"{max(0, len(self._data) - head.start):,} of {size:,} bytes of pixels are there")
        lines = np.frombuffer(self._data, np.uint8, size, head.start).reshape(head.height, stride)
        lines = (lines if head.top_down else lines[::-1])[first:end, : head.width * stored.itemsize]
        packed = np.ascontiguousarray(lines).view(stored)
        # Of 5-5-5 each number is cut, not rounded, as Pillow has it, so that such files stay what they were.
        half = 0 if head.masks[1].bit_count() == 5 else 1
        return np.stack([_band(packed, mask, half) for mask in self._masks], axis=-1)


def _band(packed: NDArray[Any], mask: int, half: int) -> NDArray[np.uint8]:
    most = (1 << mask.bit_count()) - 1
    low = (mask & -mask).bit_length() - 1
    table = ((np.arange(most + 1) * 255 + half * (most // 2)) // most).astype(np.uint8)
    spread: NDArray[np.uint8] = table[(packed >> low) & most]
    return spread


def _joined(mask: int) -> bool:
    """Whether its bits lie side by side."""
    return not mask or (mask // (mask & -mask) + 1).bit_count() == 1


def _header(data: bytes) -> _Header | None:
    """None for what has no masks, or those that Pillow knows."""
    if len(data) < 18:
        raise broken("its header is cut off")
    start, size = struct.unpack_from("<II", data, 10)
    if size < _LEAST:
        return None
    if len(data) < 54:
        raise broken("its header is cut off")
    width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    if bits not in (16, 32) or packing not in (0, *_BITFIELDS) or (bits == 32 and packing == 0):
        return None
    if width <= 0 or height == 0:
        raise broken("its header is of no BMP that there is")
    masks = _OF_15_BITS
    if packing in _BITFIELDS:
        number = 4 if size >= _V3 or packing == 6 else 3
        if len(data) < 54 + 4 * number:
            raise broken("its header is cut off")
        masks = (*struct.unpack_from(f"<{number}I", data, 54), 0)[:4]
    return _Header(start, width, abs(height), height < 0, bits, masks)


class BmpReader(Reader):
    """BMP, by Pillow where it reads all of it."""

    formats: ClassVar[tuple[str, ...]] = ("BMP",)
    single: ClassVar[bool] = True

    def accepts(self, file: File) -> bool:
        """By its mark."""
        return file.head.startswith(b"BM")

    def open(self, files: Sequence[File]) -> Contents:
        """One image."""
        data = files[0].read()
        return one_image(BmpSource.of(data) or PillowSource(data, "BMP"))


READER: Final = BmpReader()
