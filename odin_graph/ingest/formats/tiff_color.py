"""What a TIFF's numbers mean, and how they become gray or RGB: white as zero, palettes, CMYK, YCbCr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.formats.source import broken
from odin_graph.ingest.formats.tiff_page import REMEDY

_PHOTOMETRIC, _INKS, _DOTS, _YCBCR, _BLACK_WHITE = 262, 332, 336, 529, 532
"""Tags."""
_REC_601: Final = (0.299, 0.587, 0.114)
_FULL_RANGE: Final = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_JPEG: Final = (6, 7, 33007, 34892)
_FAX: Final = (2, 3, 4)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCC = 0, 1, 2, 3, 5, 6

Kind: TypeAlias = Literal["as is", "white is zero", "palette", "CMYK", "YCbCr"]


@dataclass(frozen=True, slots=True)
class Color:
    """How numbers (h, w, n) of a file become pixels (h, w, bands)."""

    kind: Kind
    bands: int
    dtype: np.dtype[Any]
    most: int = 0
    """The largest number."""
    colors: int = 0
    """Bands of color; opacity and others follow."""
    palette: NDArray[Any] | None = None
    """Colors (n, 3)."""
    weights: tuple[float, ...] = _REC_601
    ends: tuple[float, ...] = _FULL_RANGE

    @classmethod
    def of(cls, page: tifffile.TiffPage) -> Color:
        """The color of a page.

        Raises:
            UnreadableImageError: Its numbers are no intensities, and not of a kind that becomes RGB.
        """
        bands, dtype = int(page.samplesperpixel), np.dtype(page.dtype).newbyteorder("=")
        colors = max(1, bands - len(page.extrasamples or ()))
        photometric = _photometric(page)
        plain = cls("as is", bands, dtype)
        if photometric == _BLACK_IS_ZERO:
            return plain
        if photometric == _RGB:
            if bands < 3:
                raise broken(f"it is RGB of {bands} bands")
            return plain
        if photometric == _WHITE_IS_ZERO:
            if dtype.kind not in "bu":
                raise UnreadableImageError(f"its zero is white, which is not defined for {dtype}: {REMEDY}")
            return cls("white is zero", bands, dtype, (1 << int(page.bitspersample)) - 1, colors)
        if photometric == _PALETTE:
            palette = _palette(page, bands)
            return cls("palette", 3, palette.dtype, palette=palette)
        if photometric == _CMYK:
            _check_cmyk(page, bands, dtype)
            return cls("CMYK", 3, dtype)
        if photometric == _YCC:
            return _ycbcr(page, plain)
        name = getattr(page.photometric, "name", page.photometric)
        raise UnreadableImageError(f"its colors are {name}, which are not read: convert it to RGB, or {REMEDY}")

    def shown(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Pixels (h, w, bands)."""
        if self.kind == "white is zero":
            first = numbers[..., : self.colors]
            turned = ~first if first.dtype.kind == "b" else first.dtype.type(self.most) - first
            return np.concatenate([turned, numbers[..., self.colors :]], axis=2)
        if self.palette is not None:
            return self.palette[numbers[..., 0].astype(np.intp, copy=False)]
        if self.kind == "CMYK":
            height, width, _ = numbers.shape
            inks = Image.frombytes("CMYK", (width, height), np.ascontiguousarray(numbers).tobytes())
            return np.asarray(inks.convert("RGB"))
        if self.kind == "YCbCr":
            return self._rgb(numbers)
        return numbers

    def _rgb(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        red, green, blue = self.weights
        low, high = np.array(self.ends[::2]), np.array(self.ends[1::2])
        scaled = (numbers - low) * (np.array([255.0, 127.0, 127.0]) / (high - low))
        y, cb, cr = np.moveaxis(scaled, 2, 0)
        r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
        g = (y - blue * b - red * r) / green
        found: NDArray[np.uint8] = np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)
        return found


def _photometric(page: tifffile.TiffPage) -> int:
    if _PHOTOMETRIC in page.tags:
        return int(page.photometric)
    if page.samplesperpixel >= 3:  # a file without the tag is read as libtiff does
        return _RGB
    return _WHITE_IS_ZERO if page.compression in _FAX else _BLACK_IS_ZERO


def _palette(page: tifffile.TiffPage, bands: int) -> NDArray[Any]:
    """Colors (n, 3): uint8 where the file's 16 bits say no more, which is nearly always."""
    if bands != 1:
        raise UnreadableImageError(f"it has a palette and {bands} bands: {REMEDY}")
    if page.colormap is None or page.colormap.shape != (3, 1 << int(page.bitspersample)):
        raise broken("its palette is missing or cut off")
    table = np.ascontiguousarray(np.asarray(page.colormap, np.uint16).T)
    if table.max() < 256:  # some programs write colors of 8 bits
        return table.astype(np.uint8)
    high, low = table >> 8, table & 255
    return high.astype(np.uint8) if ((low == high) | (low == 0) | (low == 255)).all() else table


def _check_cmyk(page: tifffile.TiffPage, bands: int, dtype: np.dtype[Any]) -> None:
    """Refuse what does not become RGB of 8 bits by the one rule that everybody has."""
    if page.tags.valueof(_INKS, 1) != 1:
        raise UnreadableImageError(f"its inks are others than CMYK: {REMEDY}")
    if dtype != np.uint8 or bands != 4 or page.bitspersample != 8:
        raise UnreadableImageError(
            f"it is CMYK of {page.bitspersample} bits in {bands} bands: convert it to RGB, or {REMEDY}"
        )
    if tuple(np.ravel(page.tags.valueof(_DOTS, (0, 255))))[:2] not in ((0, 255), (0, 0)):
        raise UnreadableImageError(f"its dots range other than from 0 to 255: {REMEDY}")


def _ycbcr(page: tifffile.TiffPage, plain: Color) -> Color:
    weights = _fractions(page, _YCBCR, _REC_601)
    ends = _fractions(page, _BLACK_WHITE, _FULL_RANGE)
    if page.compression in _JPEG:  # its decoder makes RGB of it, by the usual weights
        if weights != _REC_601 or ends != _FULL_RANGE:
            raise UnreadableImageError(f"its YCbCr is not JPEG's own (weights {weights}, range {ends}): {REMEDY}")
        return plain
    if plain.bands != 3 or plain.dtype != np.uint8:
        raise UnreadableImageError(
            f"its colors are YCbCr of {page.bitspersample} bits in {plain.bands} bands: {REMEDY}"
        )
    return Color("YCbCr", 3, plain.dtype, weights=weights, ends=ends)


def _fractions(page: tifffile.TiffPage, tag: int, usual: tuple[float, ...]) -> tuple[float, ...]:
    stored = page.tags.valueof(tag)
    if stored is None:
        return usual
    given = np.ravel(stored).astype(float)
    if len(given) != 2 * len(usual):
        raise broken(f"its tag {tag} is cut off")
    found = tuple(np.round(given[::2] / given[1::2], 6).tolist())
    return usual if np.allclose(found, usual, atol=1e-3) else found
