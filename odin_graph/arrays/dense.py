"""Rows of one shape as a dense TileDB array (position, element).

Rows are flattened: TileDB copies tiles by runs of the last axis, and images end in an axis of one or three bands,
which would be ten times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays.opening import reading, writing
from odin_graph.arrays.segment import SegmentInfo

TILE_BYTES: Final = 1 << 20
"""Size of a tile before compression: a few hundred small images, or a part of a large one."""
_STORED_AS: Final = {"bool": "uint8", "float16": "uint16"}
"""Types that TileDB lacks, stored bit by bit as another."""


def write(path: str, rows: NDArray[Any], context: tiledb.Ctx) -> None:
    """Write rows (n, ...), none of them empty, as a new array."""
    flat = stored(rows).reshape(_flat(rows.shape))
    domain = tiledb.Domain(
        *(
            tiledb.Dim(f"d{axis}", domain=(0, size - 1), tile=tile, dtype=np.uint64, ctx=context)
            for axis, (size, tile) in enumerate(zip(flat.shape, tile_shape(flat.shape, flat.itemsize), strict=True))
        ),
        ctx=context,
    )
    value = tiledb.Attr(name="value", dtype=flat.dtype, filters=filters(flat.dtype, context), ctx=context)
    tiledb.Array.create(path, tiledb.ArraySchema(domain=domain, attrs=[value], ctx=context), ctx=context)
    with writing(path, context) as array:
        array[...] = flat


def read_runs(path: str, info: SegmentInfo, runs: Sequence[NDArray[np.int64]], context: tiledb.Ctx) -> NDArray[Any]:
    """Rows of runs of successive positions, one after another."""
    with reading(path, context) as array:
        if len(runs) == 1:
            found = array[int(runs[0][0]) : int(runs[0][-1]) + 1]["value"]
        else:  # straight into the result: separate parts would take the memory twice
            found = np.empty(_flat((sum(map(len, runs)), *info.shape)), array.attr(0).dtype)
            start = 0
            for run in runs:
                found[start : start + len(run)] = array[int(run[0]) : int(run[-1]) + 1]["value"]
                start += len(run)
    return restored(found, info.dtype).reshape(-1, *info.shape)


def read_rows(path: str, info: SegmentInfo, position: int, first: int, end: int, context: tiledb.Ctx) -> NDArray[Any]:
    """Rows of pixels (end - first, w, bands) of one image (h, w, bands); nothing else of it is read."""
    width = prod(info.shape[1:])
    with reading(path, context) as array:
        found = array[position : position + 1, first * width : end * width]["value"]
    return restored(found, info.dtype).reshape(end - first, *info.shape[1:])


def faults(path: str, info: SegmentInfo, context: tiledb.Ctx) -> list[str]:
    """How shape and dtype of the array differ from its node."""
    with reading(path, context) as array:
        shape, dtype = tuple(int(size) for size in array.shape), array.attr(0).dtype
    expected = _flat((info.rows, *info.shape))
    if shape != expected or dtype != np.dtype(_STORED_AS.get(info.dtype, info.dtype)):
        return [f"holds {dtype} of shape {shape}, and its node says {info.dtype} of shape {expected}"]
    return []


def _flat(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an array (n, ...) with flattened rows; one of scalars has one axis."""
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else tuple(shape)


def tile_shape(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """The extents of a tile: about `TILE_BYTES`, whole rows where they fit."""
    room = max(1, TILE_BYTES // itemsize)
    extents: list[int] = []
    for size in reversed(shape):
        extents.append(max(1, min(size, room)))
        room //= extents[-1]
    return tuple(reversed(extents))


def filters(dtype: np.dtype[Any], context: tiledb.Ctx) -> tiledb.FilterList:
    """Zstandard, for wider numbers after a shuffle of their bytes; a checksum, so that damage never reads as pixels."""
    shuffle = [tiledb.ByteShuffleFilter(ctx=context)] if dtype.itemsize > 1 else []
    return tiledb.FilterList(
        [*shuffle, tiledb.ZstdFilter(level=1, ctx=context), tiledb.ChecksumMD5Filter(ctx=context)], ctx=context
    )


def stored(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in a dtype that TileDB has, in the machine's byte order."""
    native = np.asarray(values, dtype=values.dtype.newbyteorder("="), order="C")
    return native.view(_STORED_AS.get(native.dtype.name, native.dtype))


def restored(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The values in their own dtype again."""
    return values.view(np.dtype(dtype))
