"""PNG of 16 bits a band in colour, which Pillow cuts to 8 bits without a word.

A PNG row is stored as differences from its neighbours to the left, above, and above left. Undoing them goes along the
diagonals of the image, where no pixel needs another: h + w steps of NumPy instead of h * w of Python.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError

_SIGNATURE: Final = 8
_BANDS: Final = {2: 3, 4: 2, 6: 4}
"""Bands by PNG's colour type: RGB, grey with alpha, RGB with alpha."""
_LAST_FILTER: Final = 4


def decode_wide_png(data: bytes) -> NDArray[np.uint16]:
    """Pixels (h, w, bands).

    Raises:
        UnreadableImageError: It is broken, or interlaced.
    """
    packed = bytearray()
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
    if interlaced or depth != 16 or colour not in _BANDS:
        raise UnreadableImageError("it is an interlaced PNG of 16 bits a band: save it without interlacing")
    step = 2 * _BANDS[colour]
    size = height * (1 + width * step)
    raw = np.frombuffer(zlib.decompressobj().decompress(packed, size), np.uint8)
    if raw.size != size:
        raise UnreadableImageError(f"it is broken ({raw.size:,} of {size:,} bytes of pixels are there)")
    lines = raw.reshape(height, 1 + width * step)
    pixels = unfiltered(lines[:, 1:].reshape(height, width, step), lines[:, 0])
    return pixels.view(">u2").astype(np.uint16)


def unfiltered(stored: NDArray[np.uint8], filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo PNG's filters.

    Args:
        stored: (h, w, bytes a pixel) differences.
        filters: (h,) PNG's filter of each row: 0 none, 1 left, 2 above, 3 mean of both, 4 Paeth.
    """
    if filters.max() > _LAST_FILTER:
        raise UnreadableImageError(f"it is broken (there is no PNG filter {filters.max()})")
    height, width, step = stored.shape
    # One row above and one column to the left of zeros, as PNG has it.
    pixels: NDArray[np.uint8] = np.zeros((height + 1, width + 1, step), np.uint8)
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        left, above, corner = (
            pixels[rows + down, columns + right].astype(np.int16) for down, right in ((1, 0), (0, 1), (0, 0))
        )
        choices: list[NDArray[Any]] = [np.zeros_like(left), left, above, (left + above) >> 1]
        choices.append(_paeth(left, above, corner))
        guess = np.choose(filters[rows][:, np.newaxis], choices)
        pixels[rows + 1, columns + 1] = (stored[rows, columns] + guess).astype(np.uint8)
    return np.ascontiguousarray(pixels[1:, 1:])


def _paeth(left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]) -> NDArray[np.int16]:
    """Whichever of the three is nearest to left + above - corner; of equals the first."""
    to_left, to_above, to_corner = (
        np.abs(above - corner),
        np.abs(left - corner),
        np.abs(left + above - 2 * corner),
    )
    chosen: NDArray[np.int16] = np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )
    return chosen


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = _SIGNATURE
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        (check,) = struct.unpack_from(">I", data, place + 8 + length)
        if check != zlib.crc32(kind + body):
            raise UnreadableImageError(f"it is broken (the checksum of its part {kind.decode('latin-1')} is wrong)")
        yield kind, body
        if kind == b"IEND":
            return
        place += 12 + length
