"""Rows of different shapes: all elements in one flat TileDB array, beside where each row starts and its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays.dense import TILE_BYTES, filters, restored, stored
from odin_graph.arrays.segment import SegmentInfo


def write(path: str, rows: Sequence[NDArray[Any]], context: tiledb.Ctx) -> None:
    """Write rows as a new group of two arrays, ``elements`` and ``index``."""
    index = np.array([(row.size, *row.shape) for row in rows], dtype=np.int64)
    elements = np.concatenate([stored(row).reshape(-1) for row in rows])
    tiledb.Group.create(path, ctx=context)
    # An array has at least one element, also where every row is empty.
    held = elements if elements.size else np.zeros(1, elements.dtype)
    tile = min(held.size, TILE_BYTES // held.itemsize)
    domain = tiledb.Domain(
        tiledb.Dim("element", domain=(0, held.size - 1), tile=tile, dtype=np.int64, ctx=context), ctx=context
    )
    value = tiledb.Attr(name="value", dtype=held.dtype, filters=filters(held.dtype), ctx=context)
    tiledb.Array.create(f"{path}/elements", tiledb.ArraySchema(domain=domain, attrs=[value], ctx=context), ctx=context)
    with tiledb.open(f"{path}/elements", "w", ctx=context) as array:
        array[:] = held
    tiledb.from_numpy(f"{path}/index", index, ctx=context).close()


def read(path: str, info: SegmentInfo, positions: NDArray[np.int64], context: tiledb.Ctx) -> list[NDArray[Any]]:
    """Rows by position, in the order asked for."""
    with tiledb.open(f"{path}/index", "r", ctx=context) as array:
        index: NDArray[np.int64] = array[:]
    ends = np.cumsum(index[:, 0])
    starts = ends - index[:, 0]
    distinct, back = np.unique(positions, return_inverse=True)
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1) if len(distinct) else []
    rows: list[NDArray[Any]] = []
    with tiledb.open(f"{path}/elements", "r", ctx=context) as array:
        for run in runs:
            first, last = int(starts[run[0]]), int(ends[run[-1]])
            flat = array[first:last]["value"] if last > first else np.empty(0, array.attr(0).dtype)
            for position in run:
                part = flat[starts[position] - first : ends[position] - first]
                rows.append(restored(part, info.dtype).reshape(index[position, 1:]))
    return [rows[position] for position in back]
