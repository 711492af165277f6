"""Which way up: TIFF and EXIF say where the first row and column of an image lie."""

from __future__ import annotations

import re
from typing import Any, Final

from numpy.typing import NDArray
from PIL import Image

UPRIGHT: Final = 1
TAG: Final = 0x0112
_TURNED: Final = 5
"""From here on rows and columns change places."""
_IN_XMP: Final = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")


def exif_orientation(exif: bytes) -> int | None:
    """The orientation in EXIF; None where there is none."""
    tags = Image.Exif()
    tags.load(exif)
    return valid(tags.get(TAG))


def xmp_orientation(xmp: bytes) -> int | None:
    """The orientation in XMP; None where there is none."""
    found = _IN_XMP.search(xmp)
    return int(found[1]) if found else None


def valid(orientation: Any) -> int | None:
    """None for what is no orientation."""
    return int(orientation) if orientation in range(1, 9) else None


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (h, w, bands) turned as TIFF's and EXIF's orientation says: a view, no number changes."""
    if orientation >= _TURNED:
        pixels = pixels.swapaxes(0, 1)
    down = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    along = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return pixels[down, along]


def upright_shape(shape: tuple[int, int, int], orientation: int) -> tuple[int, int, int]:
    """The shape of what `upright` gives."""
    height, width, bands = shape
    return (width, height, bands) if orientation >= _TURNED else shape
