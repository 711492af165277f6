"""Rows of one shape as a TileDB array (position, element), tiled by rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays.segment import SegmentInfo

TILE_BYTES: Final = 1 << 20
"""Of one tile before compression: a few hundred small images, or one large one."""
_STORED_AS: Final = {"bool": "uint8", "float16": "uint16"}
"""What TileDB has no type for, kept bit by bit as another."""


def write(path: str, rows: NDArray[Any], context: tiledb.Ctx) -> None:
    """Write rows (n, ...) as a new array."""
    flat = stored(rows).reshape(len(rows), -1)
    n, width = flat.shape
    tile = max(1, min(n, TILE_BYTES // max(1, width * flat.itemsize)))
    domain = tiledb.Domain(
        tiledb.Dim("position", domain=(0, n - 1), tile=tile, dtype=np.int64, ctx=context),
        tiledb.Dim("element", domain=(0, width - 1), tile=width, dtype=np.int64, ctx=context),
        ctx=context,
    )
    value = tiledb.Attr(name="value", dtype=flat.dtype, filters=filters(flat.dtype), ctx=context)
    tiledb.Array.create(path, tiledb.ArraySchema(domain=domain, attrs=[value], ctx=context), ctx=context)
    with tiledb.open(path, "w", ctx=context) as array:
        array[:] = flat


def read_runs(path: str, info: SegmentInfo, runs: Sequence[NDArray[np.int64]], context: tiledb.Ctx) -> NDArray[Any]:
    """Rows of runs of successive positions, one after another."""
    with tiledb.open(path, "r", ctx=context) as array:
        parts = [array[int(run[0]) : int(run[-1]) + 1]["value"] for run in runs]
    flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return restored(flat, info.dtype).reshape(-1, *info.shape) if prod(info.shape) else flat


def filters(dtype: np.dtype[Any]) -> tiledb.FilterList:
    """Zstandard; the bytes of wider numbers are shuffled first, which helps it."""
    shuffle = [tiledb.ByteShuffleFilter()] if dtype.itemsize > 1 else []
    return tiledb.FilterList([*shuffle, tiledb.ZstdFilter(level=3)])


def stored(values: NDArray[Any]) -> NDArray[Any]:
    """The same bits in a dtype that TileDB has."""
    return np.ascontiguousarray(values).view(_STORED_AS.get(values.dtype.name, values.dtype))


def restored(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The bits in their own dtype again."""
    return np.ascontiguousarray(values).view(np.dtype(dtype))
