"""The parts of a PNG beside its pixels (size, depth, palette, transparency, orientation), and where the pixels lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.formats.orientation import UPRIGHT, exif_orientation, xmp_orientation
from odin_graph.ingest.formats.source import broken, check_size, frames_refused

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEEPEST: Final = 16
_SAMPLES: Final = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
_DEPTHS: Final = {
    GRAY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GRAY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
_FIRST: Final = 33
"""Where the part behind the header begins."""
_TEXT: Final = 1 << 20
"""Bytes of text beyond which it is not searched for an orientation."""
_PLAIN: Final = frozenset({b"IDAT", b"pHYs", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"bKGD", b"tIME", b"tEXt"})
"""Parts that do not change how the numbers of a pixel are read."""
_XMP: Final = b"XML:com.adobe.xmp"
_PROFILE: Final = b"Raw profile type exif"


@dataclass(frozen=True, slots=True)
class Header:
    """Size, depth and color type."""

    width: int
    height: int
    depth: int
    color: int
    interlaced: bool

    @property
    def samples(self) -> int:
        """Numbers of a pixel."""
        return _SAMPLES[self.color]

    @property
    def step(self) -> int:
        """Bytes of a pixel; 1 where a byte holds several."""
        return max(1, self.samples * self.depth // 8)

    def stride(self, width: int) -> int:
        """Bytes of a row of so many pixels."""
        return -(-width * self.samples * self.depth // 8)


class Parts:
    """The parts of a file; pixels are left where they lie.

    Raises:
        UnreadableImageError: A part is damaged, or says what is not read; with the reason.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.places: list[tuple[int, int]] = []
        """Offset and length of each part with pixels."""
        self.orientation = UPRIGHT
        self._table: NDArray[np.uint8] | None = None
        self._alpha: bytes | None = None
        self.header = _header(file.read(_FIRST))
        for kind, length in _walk(file):
            if kind == b"IDAT":
                self.places.append((file.tell(), length))
            elif kind in (b"PLTE", b"tRNS", b"acTL", b"eXIf"):
                body = file.read(length)
                self._take(kind, check(kind, body, file.read(4)))
            elif kind in (b"iTXt", b"zTXt") and length < _TEXT:
                self._turn(_orientation(file.read(length)))
            elif not kind[0] & 0x20:
                raise UnreadableImageError(f"its part {kind.decode('latin-1')!r} is of no PNG that is known")
        if not self.places:
            raise broken("it has no pixels")

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"eXIf":
            self._turn(exif_orientation(body))
        elif self.places:
            pass  # behind the pixels these have no meaning
        elif kind == b"PLTE":
            self._table = np.frombuffer(body, np.uint8).reshape(-1, 3)
        elif kind == b"tRNS":
            self._alpha = body
        elif (frames := struct.unpack_from(">I", body)[0]) > 1:
            raise frames_refused(frames)

    def _turn(self, orientation: int | None) -> None:
        if orientation is not None and self.orientation == UPRIGHT:
            self.orientation = orientation

    def palette(self) -> NDArray[np.uint8] | None:
        """Colors (n, 3), or with their alpha (n, 4); None for what has no palette."""
        if self.header.color != PALETTE:
            return None
        if self._table is None or not len(self._table):
            raise broken("its palette is missing")
        if self._alpha is None:
            return self._table
        band = np.full(len(self._table), 255, np.uint8)
        band[: len(self._alpha)] = np.frombuffer(self._alpha, np.uint8)[: len(band)]
        return np.column_stack([self._table, band])

    def clear(self) -> tuple[int, ...]:
        """The numbers of the one color that is transparent, of gray or RGB; empty where there is none."""
        if self._alpha is None or self.header.color not in (GRAY, RGB):
            return ()
        low = (1 << self.header.depth) - 1
        return tuple(value & low for value in struct.unpack(f">{self.header.samples}H", self._alpha))


def check(kind: bytes, body: bytes, stored: bytes) -> bytes:
    """The body of a part, if its checksum is right."""
    if zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big") != stored:
        raise broken(f"the checksum of its part {kind.decode('latin-1')} is wrong")
    return body


def plain_header(data: bytes) -> Header | None:
    """The header of a file whose numbers are whole bytes, row after row, and the only ones that say how it looks.

    Raises:
        UnreadableImageError: As `Parts`.
    """
    head = _header(data[:_FIRST])
    if head.depth < 8 or head.color == PALETTE or head.interlaced:
        return None
    place, kind = _FIRST, b"IDAT"
    while kind in _PLAIN:
        kind = data[place + 4 : place + 8]
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return head if kind == b"IEND" else None


def _header(data: bytes) -> Header:
    head = _checked(data)
    check_size(head.width, head.height)
    return head


@lru_cache(64)  # images of one size begin alike
def _checked(data: bytes) -> Header:
    if data[12:16] == b"CgBI":
        raise UnreadableImageError("it is Apple's own kind of PNG, which other programs do not read: save it as PNG")
    if len(data) < _FIRST or data[8:16] != b"\0\0\0\rIHDR":
        raise broken("its header is cut off")
    width, height, depth, color, packing, filtering, interlaced = struct.unpack(
        ">IIBBBBB", check(b"IHDR", data[16:29], data[29:])
    )
    if depth not in _DEPTHS.get(color, ()) or packing or filtering or interlaced > 1 or not width or not height:
        raise broken("its header is of no PNG that there is")
    return Header(width, height, depth, color, bool(interlaced))


def _walk(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each part, with the file at its body; the reader may move on in it."""
    place = _FIRST
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return  # a file that is cut off in its pixels fails when they are decoded
        length, kind = struct.unpack(">I4s", head)
        yield kind, length
        place += 12 + length


def _orientation(text: bytes) -> int | None:
    """The orientation in EXIF or XMP."""
    if text.startswith(_XMP):
        return xmp_orientation(text)
    if text.startswith(_PROFILE):  # ImageMagick's: hexadecimal, behind a name and a length
        words = zlib.decompressobj().decompress(text[len(_PROFILE) + 2 :], _TEXT).split()
        return exif_orientation(bytes.fromhex(b"".join(words[2:]).decode("ascii")))
    return None
