"""The activations of units, unit by unit: a TileDB array (unit, position) beside the scales of the units.

A query for a few units reads a few tiles, however many units a layer has. The values are codes (uint8, see
`codes`), half precision (float16, see `halves`) or float32 as captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import codes, dense, halves
from odin_graph.arrays.opening import reading, writing
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.errors import ShapeError

UnitCodec: TypeAlias = Literal["u8", "f16", "f32"]
DTYPES: Final[dict[str, str]] = {"u8": "uint8", "f16": "float16", "f32": "float32"}
"""The dtype that each codec is stored as."""
TILE: Final = 1 << 16
"""Values of a tile: one unit of so many images, or more units of fewer."""
_MOST_UNITS: Final = 64
_RUNS: Final = 128
_READ: Final = 32 << 20
"""Runs of units, and bytes of them, that are read in one query, unless a run alone is larger."""
SCALES: Final = codes.SCALES + 2
"""Columns of a stored unit's scale: those of `codes`, the slack, and the noise measured in a second run."""
SLACK: Final = codes.SCALES
"""The column of what a purge has made less certain: by how many steps codes overlap; of f16 the least error."""


class Slab(NamedTuple):
    """Some successive units, as stored."""

    values: NDArray[Any]
    """(units, n)."""
    scales: NDArray[np.float64]
    """(units, 6): least and largest finite value, NaN, infinities, slack, noise."""


def coded(values: NDArray[np.float32], codec: UnitCodec) -> Slab:
    """Units (units, n) as they are stored, without noise."""
    if codec == "u8":
        encoded, scales = codes.encode(values)
        return Slab(encoded, _widened(scales))
    scales = codes.scales(values)
    return Slab(halves.pack(values, scales) if codec == "f16" else values, _widened(scales))


def decoded(values: NDArray[Any], scales: NDArray[np.float64]) -> NDArray[np.float32]:
    """Float columns (units, n) as they were stored, as float32."""
    if values.dtype == np.float16:
        return halves.unpack(values, scales[:, : codes.SCALES])
    return np.asarray(values, np.float32)


def error(codec: UnitCodec, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a float column's values may differ from the captured ones, for each unit (units,)."""
    return np.maximum(halves.error(scales), scales[:, SLACK]) if codec == "f16" else np.zeros(len(scales))


def tile_of(units: int, n: int) -> tuple[int, int]:
    """Units and positions of a tile."""
    positions = max(1, min(n, TILE))
    return max(1, min(units, _MOST_UNITS, TILE // positions)), positions


def slab_units(units: int, n: int, room: int) -> int:
    """How many units of n float32 values fit into so many bytes: whole tiles, and at least one of them."""
    wide, _ = tile_of(units, n)
    return min(units, max(1, room // (4 * max(1, n) * wide)) * wide)


def write(path: str, shape: tuple[int, int], dtype: str, slabs: Iterable[Slab], context: tiledb.Ctx) -> None:
    """Write units (units, n) as two arrays, ``values`` and ``scales``, a slab in memory at a time.

    Raises:
        ShapeError: The slabs are not the announced units.
    """
    stored_dtype = dense.stored(np.empty(0, dtype)).dtype
    dims = [
        tiledb.Dim(name, domain=(0, size - 1), tile=tile, dtype=np.uint64, ctx=context)
        for name, size, tile in zip(("unit", "position"), shape, tile_of(*shape), strict=True)
    ]
    value = tiledb.Attr(name="value", dtype=stored_dtype, filters=dense.filters(stored_dtype, context), ctx=context)
    schema = tiledb.ArraySchema(domain=tiledb.Domain(*dims, ctx=context), attrs=[value], ctx=context)
    tiledb.VFS(ctx=context).create_dir(path)
    values = f"{path}/values"
    tiledb.Array.create(values, schema, ctx=context)
    scales = np.zeros((shape[0], SCALES))
    first = parts = 0
    with writing(values, context) as opened:
        for slab in slabs:
            end = first + len(slab.values)
            fits = slab.values.shape[1:] == shape[1:] and slab.values.dtype == dtype and end <= shape[0]
            if not fits or slab.scales.shape != (end - first, SCALES):
                raise ShapeError(
                    f"Units {first} to {end} came as {slab.values.dtype} of shape {slab.values.shape} with scales of "
                    f"shape {slab.scales.shape}, and not as {dtype} of {shape[1]} images, of {shape[0]} units in all."
                )
            opened[first:end] = dense.stored(slab.values)
            scales[first:end] = slab.scales
            first, parts = end, parts + 1
            del slab
    if first != shape[0]:
        raise ShapeError(f"{first} units were written, but {shape[0]} were announced.")
    if parts > 1:  # each slab is a fragment: with their footers in one file, opening the array reads one file
        footers = tiledb.Config({"sm.consolidation.mode": "fragment_meta"})
        tiledb.consolidate(values, config=footers, ctx=context)
    dense.write(f"{path}/scales", scales, context)


def read(path: str, info: SegmentInfo, units: NDArray[np.int64], positions: slice, context: tiledb.Ctx) -> NDArray[Any]:
    """Units (units, n) by number, in the requested order, at the positions of a slice of step 1, as stored."""
    start, end, _ = positions.indices(info.rows)
    distinct, back = np.unique(units, return_inverse=True)
    found = np.empty((len(distinct), max(0, end - start)), np.dtype(info.dtype))
    if found.size:
        with reading(f"{path}/values", context) as array:
            place = 0
            for part in _rows(array, distinct, start, end):
                found[place : place + len(part)] = dense.restored(part, info.dtype)
                place += len(part)
    return found if np.array_equal(distinct, units) else found[back]


def read_scales(path: str, units: NDArray[np.int64] | None, context: tiledb.Ctx) -> NDArray[np.float64]:
    """The scales (units, 6) of units by number, by default of all."""
    with reading(f"{path}/scales", context) as array:
        if units is None:
            found: NDArray[np.float64] = array[...]["value"]
            return found
        distinct, back = np.unique(units, return_inverse=True)
        parts = list(_rows(array, distinct, 0, SCALES))
    return np.concatenate([np.empty((0, SCALES)), *parts])[back]


def slabs_of(path: str, info: SegmentInfo, room: int, context: tiledb.Ctx) -> Iterator[Slab]:
    """All units, a slab at a time, as stored."""
    units = info.shape[0]
    scales = read_scales(path, None, context)
    step = slab_units(units, info.rows, room)
    for first in range(0, units, step):
        numbers = np.arange(first, min(units, first + step))
        yield Slab(read(path, info, numbers, slice(None), context), scales[numbers])


def faults(path: str, info: SegmentInfo, context: tiledb.Ctx) -> Iterator[str]:
    """How the arrays differ from their node."""
    expected = (info.shape[0], info.rows)
    with reading(f"{path}/values", context) as array:
        shape, dtype = tuple(int(size) for size in array.shape), array.attr(0).dtype
    if shape != expected or dtype != dense.stored(np.empty(0, info.dtype)).dtype:
        yield f"holds {dtype} of shape {shape}, and its node says {info.dtype} of shape {expected}"
        return
    scales = read_scales(path, None, context)
    if scales.shape != (info.shape[0], SCALES) or not np.isfinite(scales).all():
        yield f"has scales of shape {scales.shape}, not all of them finite, for {info.shape[0]} units"


def check_values(path: str, info: SegmentInfo, room: int, context: tiledb.Ctx) -> None:
    """Read every tile, against its checksum."""
    for _ in slabs_of(path, info, room, context):
        pass


def _widened(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([scales, np.zeros((len(scales), SCALES - codes.SCALES))], axis=1)


def _rows(array: tiledb.DenseArray, distinct: NDArray[np.int64], start: int, end: int) -> Iterator[NDArray[Any]]:
    """Some rows (sorted) from start to end, in their order, many at a time.

    Separate runs are read in one query as well: each query takes TileDB a millisecond or two, and one of many tiles
    is decoded on all its threads.
    """
    runs = np.split(distinct, np.flatnonzero(np.diff(distinct) != 1) + 1) if len(distinct) else []
    row, first = (end - start) * array.attr(0).dtype.itemsize, 0
    while first < len(runs):
        last, size = first + 1, len(runs[first]) * row
        while last < min(len(runs), first + _RUNS) and (size := size + len(runs[last]) * row) <= _READ:
            last += 1
        if last == first + 1:
            yield array[int(runs[first][0]) : int(runs[first][-1]) + 1, start:end]["value"]
        else:
            picked = [slice(int(run[0]), int(run[-1])) for run in runs[first:last]]  # with their ends
            yield array.multi_index[picked, start : end - 1]["value"]
        first = last
