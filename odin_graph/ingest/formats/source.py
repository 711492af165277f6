"""An image file opened and not yet decoded: its shape is known before its pixels take any memory."""

from __future__ import annotations

import io
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from odin_graph.arrays.boxes import Box
from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import Origin
from odin_graph.ingest.frame import Contents, Frame

_MOST: Final = 2
"""Times `PIL.Image.MAX_IMAGE_PIXELS`."""


class Source(Protocol):
    """`odin_graph.arrays.Rows`, and what decoding it takes."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""

    @property
    def at_once(self) -> int | None:
        """Bytes that any number of rows takes beside these rows; None where the file is decoded whole or not at all."""

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands), the caller's to keep.

        Raises:
            UnreadableImageError: With the reason alone.
        """


def one_image(source: Source) -> Contents:
    """The contents of a file that holds one image, whose columns are cut out of its rows."""
    takes = int(getattr(source, "takes", 0))
    frame = Frame(source.shape, source.dtype, partial(_part, source), at_once=source.at_once, takes=takes)
    return Contents((frame,))


def _part(source: Source, box: Box) -> NDArray[Any]:
    left, top, right, bottom = box
    found = source.rows(top, bottom)
    return found if right - left == source.shape[1] else np.ascontiguousarray(found[:, left:right])


def nbytes(source: Source) -> int:
    """Bytes of the pixels in memory."""
    return prod(source.shape) * source.dtype.itemsize


def opened(origin: Origin) -> BinaryIO:
    """The file, to be closed."""
    return origin.open("rb") if isinstance(origin, Path) else io.BytesIO(origin)


def broken(error: Exception | str) -> UnreadableImageError:
    """The error of a damaged file."""
    return UnreadableImageError(f"it is broken ({str(error) or type(error).__name__})")


def check_size(width: int, height: int) -> None:
    """Refuse a file of some bytes that unpacks to far too many pixels; the limit is where Pillow raises its error.

    Raises:
        UnreadableImageError: It does; with the remedy.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and width * height > _MOST * most:
        raise UnreadableImageError(
            f"it would unpack to more pixels than is safe ({width:,} x {height:,}). If you trust the file, "
            "raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def frames_refused(number: int) -> UnreadableImageError:
    """The error of a file that holds several images."""
    return UnreadableImageError(
        f"it has {number} frames: add them one by one as arrays, or all with db.volumes.add(...) or db.videos.add(...)"
    )
