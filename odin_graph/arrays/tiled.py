"""One image too large for memory as a TileDB array of its own in square tiles, beside a small overview of it.

The array is (rows, columns * bands): TileDB copies tiles by runs of the last axis, and runs of one to five bands
would be slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Final, Protocol

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import dense
from odin_graph.arrays.boxes import Box
from odin_graph.arrays.opening import reading, writing
from odin_graph.arrays.overview import Overview
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.errors import DataError, ShapeError

TILE: Final = 256
"""Rows and columns of a tile: a crop of 512 x 512 reads nine at most."""
SLAB_BYTES: Final = 32 << 20
"""Written at once: some rows of tiles. TileDB holds it about twice more while it compresses."""
_LEAST: Final = 16
"""Rows of a tile of an image so wide that a row of square tiles would be more than a slab."""


class Rows(Protocol):
    """Pixels that are read by rows: the source of a tiled image, and a stored one."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands), the caller's to keep."""


def slabs(shape: tuple[int, int, int], itemsize: int) -> Iterator[tuple[int, int]]:
    """First and last row of parts that are read and written together: whole rows of tiles."""
    tall = tile_rows(shape, itemsize)
    tall *= max(1, SLAB_BYTES // (tall * prod(shape[1:]) * itemsize))
    for first in range(0, shape[0], tall):
        yield first, min(first + tall, shape[0])


def tile_rows(shape: tuple[int, int, int], itemsize: int) -> int:
    """The height of a tile."""
    rows = TILE
    while rows > _LEAST and rows * prod(shape[1:]) * itemsize > SLAB_BYTES:
        rows //= 2
    return rows


def write(path: str, array: str, source: Rows, context: tiledb.Ctx) -> None:
    """Write an image (h, w, bands) as two arrays, ``pixels`` and ``overview``, a slab in memory at a time.

    Raises:
        ShapeError: The source gives rows of another shape or dtype than it declared.
    """
    (height, width, bands), dtype = source.shape, source.dtype.newbyteorder("=")
    stored_dtype = dense.stored(np.empty(0, dtype)).dtype
    domain = tiledb.Domain(
        _dimension("row", height, tile_rows(source.shape, dtype.itemsize), context),
        _dimension("element", width * bands, TILE * bands, context),
        ctx=context,
    )
    value = tiledb.Attr(name="value", dtype=stored_dtype, filters=dense.filters(stored_dtype, context), ctx=context)
    tiledb.VFS(ctx=context).create_dir(path)
    pixels = f"{path}/pixels"
    tiledb.Array.create(pixels, tiledb.ArraySchema(domain=domain, attrs=[value], ctx=context), ctx=context)
    overview = Overview(source.shape)
    parts = list(slabs(source.shape, dtype.itemsize))
    with writing(pixels, context) as opened:
        for first, end in parts:
            block = source.rows(first, end)
            if block.shape != (end - first, width, bands) or block.dtype.newbyteorder("=") != dtype:
                raise ShapeError(
                    f"{array}: rows {first} to {end} came as {block.dtype} of shape {block.shape}, and not as {dtype} "
                    f"of shape {(end - first, width, bands)}."
                )
            overview.take(block)
            opened[first:end] = dense.stored(block).reshape(end - first, width * bands)
            del block
    if len(parts) > 1:  # each slab is a fragment: with their footers in one file, opening the array reads one file
        footers = tiledb.Config({"sm.consolidation.mode": "fragment_meta"})
        tiledb.consolidate(pixels, config=footers, ctx=context)
    small = overview.pixels(dtype)
    dense.write(f"{path}/overview", small.reshape(len(small), -1), context)


def read_box(path: str, info: SegmentInfo, box: Box, context: tiledb.Ctx) -> NDArray[Any]:
    """The pixels (bottom - top, right - left, bands) of a box; only its tiles are read."""
    left, top, right, bottom = box
    bands = info.shape[2]
    with reading(f"{path}/pixels", context) as opened:
        found = opened[top:bottom, left * bands : right * bands]["value"]
    return dense.restored(found, info.dtype).reshape(bottom - top, right - left, bands)


def read_overview(path: str, info: SegmentInfo, context: tiledb.Ctx) -> NDArray[Any]:
    """The image (h', w', bands), made smaller by averaging."""
    with reading(f"{path}/overview", context) as opened:
        found = opened[...]["value"]
    return dense.restored(found, info.dtype).reshape(len(found), -1, info.shape[2])


def faults(path: str, info: SegmentInfo, context: tiledb.Ctx) -> Iterator[str]:
    """How the arrays differ from their node."""
    height, width, bands = info.shape
    with reading(f"{path}/pixels", context) as opened:
        shape, dtype = tuple(int(size) for size in opened.shape), opened.attr(0).dtype
    if shape != (height, width * bands) or dtype != dense.stored(np.empty(0, info.dtype)).dtype:
        yield f"holds {dtype} of shape {shape}, and its node says {info.dtype} of shape {info.shape}"
        return
    read_overview(path, info, context)


def check_rows(path: str, info: SegmentInfo, context: tiledb.Ctx) -> None:
    """Read every tile, against its checksum."""
    for first, end in slabs((info.shape[0], info.shape[1], info.shape[2]), np.dtype(info.dtype).itemsize):
        read_box(path, info, (0, first, info.shape[1], end), context)


def check_source(array: str, source: Rows) -> None:
    """Refuse a source that is no image.

    Raises:
        ShapeError: Another number of axes, or an axis without length.
        DataError: A source that cannot be read by rows.
    """
    if not callable(getattr(source, "rows", None)):
        raise DataError(f"{array}: {type(source).__name__} cannot be read by rows.")
    if len(source.shape) != 3 or 0 in source.shape:
        raise ShapeError(
            f"{array}: an image of shape {source.shape} has no pixels: give height, width and bands above 0."
        )


def _dimension(name: str, size: int, tile: int, context: tiledb.Ctx) -> tiledb.Dim:
    return tiledb.Dim(name, domain=(0, size - 1), tile=min(size, tile), dtype=np.uint64, ctx=context)
