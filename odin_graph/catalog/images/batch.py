"""A batch of images to be stored: ingest makes it of frames, and `add_images` stores it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import Rows, slabs
from odin_graph.catalog.images.sources import Digesting, begin_digest, is_lazy, is_rows, is_stored, lazily
from odin_graph.errors import DataError, ShapeError

Pixels = NDArray[Any]

_VERSIONED = re.compile(r"@\d+$")


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Images of one transaction. Every column has one entry an image; None stands for a missing value.

    Pixels are (h, w) or (h, w, c), of any integer, float or bool dtype, kept as they are. Those of a huge image may be
    an array that is sliced (`np.memmap`, zarr), or be read by rows.
    """

    ids: Sequence[str]
    pixels: Sequence[Pixels | Rows] | Pixels
    labels: Sequence[Any] | None = None
    metadata: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Free metadata by name."""
    paths: Sequence[str | None] | None = None
    """Where each image was read from."""
    file_digests: Sequence[str | None] | None = None
    """SHA-256 of the bytes of each file, hexadecimal."""
    digests: Sequence[str | None] | None = None
    """Digests of the pixels, if they are known already."""
    originals: Sequence[bytes | None] | None = None
    """The encoded bytes, if they are to be stored."""
    versions: bool = False
    """Whether ids may be ids of revisions, ``ID@2``: for images that are copied from another workspace."""

    def __post_init__(self) -> None:
        """Check that the columns fit each other.

        Raises:
            ShapeError: Columns of other lengths, or pixels that are not an image.
            DataError: An id that is empty, twice in the batch, or looks like a version.
        """
        columns = {"pixels": self.pixels, **self.metadata}
        for name in ("labels", "paths", "file_digests", "digests", "originals"):
            if (column := getattr(self, name)) is not None:
                columns[name] = column
        for name, column in columns.items():
            if len(column) != len(self.ids):
                raise ShapeError(f"{len(self.ids)} ids, but {len(column)} {name}: give one for each image.")
        self._check_ids()
        for id_, image in zip(self.ids, self.pixels, strict=True):
            check_pixels(id_, image)

    def _check_ids(self) -> None:
        seen: set[str] = set()
        for id_ in self.ids:
            check_id(id_, versions=self.versions)
            if id_ in seen:
                raise DataError(f"Two images of the batch have the id {id_!r}: give each its own.")
            seen.add(id_)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.ids)

    def arrays(self, huge: int | None = None) -> list[Pixels | Rows]:
        """The pixels, each (h, w, c), C-contiguous and of the machine's byte order.

        Args:
            huge: Size in bytes from which an image becomes a source that is read by rows; by default only those that
                already are one.
        """
        images = [image if huge is None else lazily(image, huge) for image in self.pixels]
        return [image if is_rows(image) else _as_stored(np.asarray(image)) for image in images]


def image_digest(pixels: Pixels | Rows) -> str:
    """SHA-256 over dtype, shape and pixels, hexadecimal; (h, w) and (h, w, 1) are the same image.

    An image that is read by rows has the same digest as its pixels in memory.
    """
    if is_rows(pixels):
        source = Digesting(pixels)
        for part in slabs(pixels.shape, pixels.dtype.itemsize):
            source.rows(*part)
        return source.digest()
    assert isinstance(pixels, np.ndarray)
    array = _as_stored(pixels)
    digest = begin_digest(array.shape, array.dtype)
    digest.update((array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))).data)
    return digest.hexdigest()


def _as_stored(pixels: Pixels) -> Pixels:
    if pixels.ndim == 3 and pixels.dtype.isnative and pixels.flags.c_contiguous:
        return pixels
    array = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    return np.ascontiguousarray(array, dtype=None if array.dtype.isnative else array.dtype.newbyteorder("="))


def check_id(id_: Any, *, versions: bool = False) -> None:
    """Refuse an invalid id of an image; with ``versions`` the id of a revision is valid.

    Raises:
        DataError: It is not a string, empty, or looks like a version.
    """
    if not isinstance(id_, str) or not id_:
        raise DataError(f"{id_!r} is not an image id: give a string that is not empty.")
    if not versions and "@" in id_ and _VERSIONED.search(id_):
        raise DataError(f"The id {id_!r} reads as a version of {id_.rpartition('@')[0]!r}: leave out the @ and number.")


def check_pixels(id_: str, image: Any) -> None:
    """Refuse what is not an image.

    Raises:
        ShapeError: Wrong number of axes, an axis of length 0, or no numbers.
        DataError: Some pixels are masked.
    """
    array = image if isinstance(image, np.ndarray) or is_rows(image) or is_lazy(image) else np.asarray(image)
    if not is_stored(array.dtype):
        raise ShapeError(f"The pixels of {id_!r} are {array.dtype}: give integers, floats of up to 64 bits or bools.")
    if len(array.shape) not in (2, 3) or 0 in array.shape:
        raise ShapeError(
            f"The pixels of {id_!r} have shape {array.shape}: give (height, width) or (height, width, bands)."
        )
    check_mask(id_, image)


def check_mask(id_: str, image: Any) -> None:
    """Refuse masked pixels: the values below the mask would be stored as pixels.

    Raises:
        DataError: Some pixels are masked.
    """
    if isinstance(image, np.ma.MaskedArray) and np.ma.is_masked(image):
        missing = int(np.count_nonzero(np.ma.getmaskarray(image)))
        raise DataError(
            f"{missing:,} pixels of {id_!r} are masked, which is not stored: give numbers for them, as in "
            "image.filled(0), and keep the mask as an image of its own (image.mask)."
        )
