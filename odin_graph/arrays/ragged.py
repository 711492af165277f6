"""Rows of different shapes: all elements in one flat TileDB array, beside an array of the rows' shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import dense
from odin_graph.arrays.opening import reading
from odin_graph.arrays.segment import SegmentInfo


def write(path: str, rows: Sequence[NDArray[Any]], context: tiledb.Ctx) -> None:
    """Write rows of one dtype and number of dimensions as two arrays, ``elements`` and ``shapes``."""
    shapes = np.array([row.shape for row in rows], np.int64).reshape(len(rows), -1)
    elements = np.concatenate([dense.stored(row).reshape(-1) for row in rows])
    tiledb.VFS(ctx=context).create_dir(path)
    # An array has at least one element, even if every row is empty.
    dense.write(f"{path}/elements", elements if elements.size else np.zeros(1, elements.dtype), context)
    dense.write(f"{path}/shapes", shapes, context)


def read(path: str, info: SegmentInfo, positions: NDArray[np.int64], context: tiledb.Ctx) -> list[NDArray[Any]]:
    """Rows by position, in the order asked for."""
    shapes, starts, ends = _index(path, context)
    distinct, back = np.unique(positions, return_inverse=True)
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1) if len(distinct) else []
    rows: list[NDArray[Any]] = []
    with reading(f"{path}/elements", context) as array:
        for run in runs:
            first, last = int(starts[run[0]]), int(ends[run[-1]])
            flat = array[first:last]["value"] if last > first else np.empty(0, array.attr(0).dtype)
            for position in run:
                # A copy, so that one row in use does not keep its whole run in memory.
                part = flat[starts[position] - first : ends[position] - first].copy()
                rows.append(dense.restored(part, info.dtype).reshape(shapes[position]))
    return [rows[position] for position in back]


def read_rows(path: str, info: SegmentInfo, position: int, first: int, end: int, context: tiledb.Ctx) -> NDArray[Any]:
    """Rows of pixels (end - first, w, bands) of one image (h, w, bands); nothing else of it is read."""
    row_shapes, starts, _ = _index(path, context)
    shape = row_shapes[position].tolist()
    start, width = int(starts[position]), shape[1] * shape[2]
    with reading(f"{path}/elements", context) as array:
        found = array[start + first * width : start + end * width]["value"]
    return dense.restored(found, info.dtype).reshape(end - first, *shape[1:])


def shapes(path: str, positions: NDArray[np.int64], context: tiledb.Ctx) -> list[tuple[int, ...]]:
    """The shapes of rows by position."""
    return [tuple(shape) for shape in _index(path, context)[0][positions].tolist()]


def decoded_bytes(path: str, info: SegmentInfo, context: tiledb.Ctx) -> int:
    """The memory that the rows take."""
    _, _, ends = _index(path, context)
    return int(ends[-1]) * np.dtype(info.dtype).itemsize


def faults(path: str, info: SegmentInfo, context: tiledb.Ctx) -> list[str]:
    """How the arrays differ from their node."""
    shapes, _, ends = _index(path, context)
    if len(shapes) != info.rows:
        return [f"holds {len(shapes)} rows, and its node says {info.rows}"]
    with reading(f"{path}/elements", context) as array:
        size, dtype = int(array.shape[0]), array.attr(0).dtype
    if size < ends[-1] or dtype != dense.stored(np.empty(0, info.dtype)).dtype:
        return [f"holds {size} elements of {dtype}, and its rows have {int(ends[-1])} of {info.dtype}"]
    return []


def _index(path: str, context: tiledb.Ctx) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows' shapes, and where each row starts and ends among the elements."""
    with reading(f"{path}/shapes", context) as array:
        shapes: NDArray[np.int64] = array[...]["value"]
    sizes = shapes.prod(axis=1)
    ends = np.cumsum(sizes)
    return shapes, ends - sizes, ends
