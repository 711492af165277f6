"""Huge images on their way in: read by rows, and never held whole."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.tiled import Rows
from odin_graph.errors import ShapeError

_WIDEST: Final = 8
"""Bytes of a number."""


@dataclass(frozen=True, eq=False, slots=True)
class ArraySource:
    """Any array (h, w) or (h, w, bands) that knows its shape and NumPy dtype and is sliced: `np.memmap`, zarr, h5py."""

    array: Any

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        height, width, *bands = (int(size) for size in self.array.shape)
        return height, width, bands[0] if bands else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """In the machine's byte order."""
        held: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return held

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """A copy of pixels (end - first, w, bands)."""
        held = np.array(self.array[first:end], self.dtype, order="C")
        release(self.array)
        return held[:, :, np.newaxis] if held.ndim == 2 else held


class Digesting:
    """A source that digests what is read from it; it is read once, from its first row to its last."""

    def __init__(self, source: Rows) -> None:
        self._source = source
        self._digest = begin_digest(source.shape, source.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self._source.dtype

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        held = self._source.rows(first, end)
        self._digest.update(np.ascontiguousarray(held, held.dtype.newbyteorder("<")).data)
        return held

    def digest(self) -> str:
        """Of what was read."""
        return self._digest.hexdigest()


def begin_digest(shape: Sequence[int], dtype: np.dtype[Any]) -> hashlib._Hash:
    """SHA-256 of dtype and shape, to which the pixels are added in C order, little end first."""
    return hashlib.sha256(f"{dtype.newbyteorder('<').str}{tuple(shape)}".encode())


def is_rows(pixels: Any) -> TypeGuard[Rows]:
    """Whether pixels are read by rows."""
    return not isinstance(pixels, np.ndarray) and callable(getattr(pixels, "rows", None))


def is_lazy(pixels: Any) -> bool:
    """Whether it is an array of another package that is read where it is sliced. A tensor's dtype is not NumPy's."""
    return not isinstance(pixels, np.ndarray) and isinstance(getattr(pixels, "dtype", None), np.dtype)


def is_stored(dtype: np.dtype[Any]) -> bool:
    """Whether arrays keep numbers of this type."""
    return dtype.kind in "biuf" and dtype.itemsize <= _WIDEST


def lazily(pixels: Any, huge: int) -> Any:
    """Pixels as they are, or as a source that is read by rows where they take ``huge`` bytes or more.

    Raises:
        ShapeError: A large array that is no image.
    """
    if is_rows(pixels) or not (isinstance(pixels, np.ndarray) or is_lazy(pixels)):
        return pixels
    if prod(pixels.shape) * pixels.dtype.itemsize < huge:
        return np.asarray(pixels)
    if len(pixels.shape) not in (2, 3) or not is_stored(pixels.dtype):
        raise ShapeError(
            f"{pixels.dtype} of shape {tuple(pixels.shape)} is not an image: give (height, width) or "
            "(height, width, bands) of integers, floats of up to 64 bits or bools."
        )
    return ArraySource(pixels)


def release(array: Any) -> None:
    """Give the pages of a mapped file back: they would count as our memory until others need it."""
    mapped = getattr(array, "_mmap", None)
    # Of a private mapping ("c") the changes would be lost.
    if isinstance(mapped, mmap.mmap) and getattr(array, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        with suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)
