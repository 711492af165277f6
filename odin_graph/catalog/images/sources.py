"""Huge images to be stored: read by rows, and never in memory as a whole."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
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
        """The dtype in the byte order of the machine."""
        native: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return native

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """A copy of pixels (end - first, w, bands)."""
        pixels = np.array(self.array[first:end], self.dtype, order="C")
        release(self.array)
        return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


class Digesting:
    """A source that updates a digest with every row that is read. It must be read once, from first to last row."""

    def __init__(self, source: Rows) -> None:
        self._source = source
        self._digest = begin_digest(source.shape, source.dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        return self._source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""
        return self._source.dtype

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        pixels = self._source.rows(first, end)
        self._digest.update(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data)
        return pixels

    def digest(self) -> str:
        """The digest of the rows that were read."""
        return self._digest.hexdigest()


def begin_digest(shape: Sequence[int], dtype: np.dtype[Any]) -> hashlib._Hash:
    """SHA-256 of dtype and shape. The caller adds the pixels, in C order and little endian."""
    return hashlib.sha256(_beginning(tuple(map(int, shape)), dtype))


@lru_cache(64)  # spelling it takes longer than the digest of a small image
def _beginning(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    return f"{dtype.newbyteorder('<').str}{shape}".encode()


def is_rows(pixels: Any) -> TypeGuard[Rows]:
    """Whether pixels are read by rows."""
    return not isinstance(pixels, np.ndarray) and callable(getattr(pixels, "rows", None))


def is_lazy(pixels: Any) -> bool:
    """Whether it is an array of another package that is read in slices. A tensor is not: it has no NumPy dtype."""
    return not isinstance(pixels, np.ndarray) and isinstance(getattr(pixels, "dtype", None), np.dtype)


def is_stored(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this dtype can be stored."""
    return dtype.kind in "biuf" and dtype.itemsize <= _WIDEST


def lazily(pixels: Any, huge: int) -> Any:
    """Pixels unchanged, or from ``huge`` bytes on as a source that is read by rows.

    Raises:
        ShapeError: A large array that is not an image.
    """
    if isinstance(pixels, np.ndarray) and pixels.nbytes < huge:
        return np.asarray(pixels)
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
    """Release the pages of a memory-mapped file, which count as memory of this process."""
    mapped = getattr(array, "_mmap", None)
    # A private mapping ("c") would lose its changes.
    if isinstance(mapped, mmap.mmap) and getattr(array, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        with suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)
