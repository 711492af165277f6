"""JPEG, GIF, WebP and BMP by Pillow, and images that Pillow holds already.

Pillow is asked for just the format that the file's bytes are of, so that none of its other readers is ever tried.
Palettes and CMYK become RGB, since their numbers are no intensities; a camera's orientation is applied, which moves
pixels and changes none.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File
from odin_graph.ingest.formats.orientation import TAG, UPRIGHT, upright, upright_shape, valid
from odin_graph.ingest.formats.source import broken, check_size, frames_refused, one_image
from odin_graph.ingest.frame import Contents
from odin_graph.ingest.reader import Reader

_OURS: Final = {"JPEG": ("JPEG", "MPO"), "GIF": ("GIF",), "WEBP": ("WEBP",), "BMP": ("BMP",)}
_JPEG: Final = b"\xff\xd8\xff"
_GIF: Final = (b"GIF87a", b"GIF89a")
_WEBP: Final = b"WEBP"
_AS_IT_IS: Final = ("1", "L", "LA", "RGB", "RGBA", "I", "F")
_WITH_ALPHA: Final = {"L": "LA", "RGB": "RGBA"}
_WIDE: Final = "I;16"
"""The start of Pillow's names for 16 bits of gray, in either byte order."""
_DECODING: Final = 12
"""Bytes that Pillow and NumPy take for a pixel while it is decoded: four of Pillow's, and a copy on its way."""
_FRAMES: Final = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7})
"""JPEG's marks of a frame."""
_LOSSLESS: Final = {0xC3, 0xC7, 0xCB, 0xCF}
_LS: Final = 0xF7


class PillowSource:
    """The image of a file; see `odin_graph.ingest.formats.source.Source`.

    Raises:
        UnreadableImageError: It is broken, holds several frames, or is of a kind that is not read.
    """

    at_once: int | None = None

    def __init__(self, data: bytes, format: str) -> None:  # noqa: A002
        self._data, self._format = data, format
        if format == "JPEG":
            _check_jpeg(data)
        with self._opened() as image:
            if (frames := _frames(image)) > 1:
                raise frames_refused(frames)
            self._orientation = valid(image.getexif().get(TAG)) or UPRIGHT
            bands, dtype = len(_wanted(image)), np.bool_ if image.mode == "1" else np.uint8
            height, width = image.height, image.width
        self.shape = upright_shape((height, width, bands), self._orientation)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.takes = height * width * _DECODING

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        with self._opened() as image:
            found = upright(_pixels(image), self._orientation)
        if found.shape != self.shape:
            raise broken(f"its pixels have shape {found.shape}, but its header has {self.shape}")
        return np.ascontiguousarray(found[first:end])

    @contextmanager
    def _opened(self) -> Iterator[Image.Image]:
        try:
            with Image.open(io.BytesIO(self._data), formats=_OURS[self._format]) as image:
                check_size(image.width, image.height)
                yield image
        except UnreadableImageError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnreadableImageError(
                f"it would unpack to more pixels than is safe ({error}). If you trust the file, "
                "raise PIL.Image.MAX_IMAGE_PIXELS"
            ) from error
        except Exception as error:  # a broken file makes decoders raise anything: struct.error, KeyError, zlib.error
            if "nsupported" in str(error):
                kind = f"it is of a kind of {self._format} that is not read ({error}): save it as PNG"
                raise UnreadableImageError(kind) from error
            raise broken(_plain(error, self._format)) from error


def pixels_of_picture(picture: Image.Image) -> NDArray[Any]:
    """Pixels (h, w, bands) of an image that Pillow holds, by the rules for files.

    Raises:
        UnreadableImageError: Its colors are no intensities, and not of a kind that becomes RGB; or it has frames.
    """
    if (frames := _frames(picture)) > 1:
        raise frames_refused(frames)
    if picture.mode in ("LAB", "HSV", "YCbCr"):
        raise UnreadableImageError(f"its colors are {picture.mode}: give image.convert('RGB')")
    picture.load()  # Pillow turns TIFF here by itself, and drops the orientation
    return upright(_pixels(picture), valid(picture.getexif().get(TAG)) or UPRIGHT)


def _frames(image: Image.Image) -> int:
    """1 for a phone's JPEG, whose other frames are previews behind the picture."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _wanted(image: Image.Image) -> str:
    """The mode that its pixels are taken in: a letter a band."""
    clear = "transparency" in image.info
    if image.mode in _AS_IT_IS:
        return _WITH_ALPHA.get(image.mode, image.mode) if clear else image.mode
    return "RGBA" if clear or image.mode in ("PA", "RGBa", "La") else "RGB"


def _pixels(image: Image.Image) -> NDArray[Any]:
    if image.mode.startswith(_WIDE):
        found = np.asarray(image).astype(np.uint16)
    else:
        wanted = _wanted(image)
        found = np.asarray(image if image.mode == wanted else image.convert(wanted))
    return found[:, :, np.newaxis] if found.ndim == 2 else found


def _check_jpeg(data: bytes) -> None:
    """Refuse JPEG of other depths and kinds, which Pillow calls broken."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        mark = data[place + 1]
        if mark in _FRAMES:
            depth = data[place + 4]
            name = (
                "JPEG-LS" if mark == _LS else "lossless JPEG" if mark in _LOSSLESS else f"JPEG of {depth} bits a band"
            )
            if mark == _LS or mark in _LOSSLESS or depth != 8:
                raise UnreadableImageError(
                    f"it is {name}, which is not read: decode it with imagecodecs.imread(...) and add the array"
                )
            return
        if mark in (0xFF, 0x01) or 0xD0 <= mark <= 0xD8:
            place += 1 if mark == 0xFF else 2
            continue
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]


def _plain(error: Exception, format: str) -> str:  # noqa: A002
    """Pillow's message, without the name of an object of ours."""
    message = str(error) or type(error).__name__
    return f"Pillow finds no {format} in it" if "cannot identify image file" in message else message


class PillowReader(Reader):
    """JPEG, GIF and WebP."""

    formats: ClassVar[tuple[str, ...]] = ("JPEG", "GIF", "WebP")
    single: ClassVar[bool] = True

    def accepts(self, file: File) -> bool:
        """By its mark."""
        return _format(file.head) is not None

    def open(self, files: Sequence[File]) -> Contents:
        """One image."""
        format_ = _format(files[0].head)
        assert format_ is not None
        return one_image(PillowSource(files[0].read(), format_))


def _format(head: bytes) -> str | None:
    if head.startswith(_JPEG):
        return "JPEG"
    if head.startswith(_GIF):
        return "GIF"
    return "WEBP" if head.startswith(_WEBP, 8) else None


READER: Final = PillowReader()
