"""Checks of a segment: `odin doctor` runs them for each segment in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import dense, ragged, tables, tiled
from odin_graph.arrays.contents import Contents
from odin_graph.arrays.files import Files
from odin_graph.arrays.keys import KeyVectors
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.unit_store import UnitStore
from odin_graph.errors import StoreError

_ROWS: Final = 4096
"""Rows that a deep check reads at once, so that it takes little memory."""


def faults(files: Files, vectors: KeyVectors, units: UnitStore, info: SegmentInfo, *, deep: bool) -> list[str]:
    """What is wrong with a segment, each in a phrase.

    Args:
        files: The store's files.
        vectors: The store's key vectors.
        units: The store's segments of units.
        info: As its node says.
        deep: Also read every row, against the checksums of its tiles.
    """
    found: list[str] = []
    for part in (_keys(vectors, info), _rows(files, units, info, deep=deep)):
        try:
            found += part
        except (StoreError, tiledb.TileDBError) as error:
            found.append(str(error).strip())
    return found


def _keys(vectors: KeyVectors, info: SegmentInfo) -> Iterator[str]:
    keys = vectors.verified(info.keys)
    if len(keys) != info.rows:
        yield f"has {info.rows} rows and {len(keys)} keys"
    elif len(keys) and (int(keys[0]), int(keys[-1])) != (info.min_key, info.max_key):
        yield f"has keys from {keys[0]} to {keys[-1]}, and its node says from {info.min_key} to {info.max_key}"


def _rows(files: Files, units: UnitStore, info: SegmentInfo, *, deep: bool) -> Iterator[str]:
    if not files.exists(info.uri):
        yield f"{files.path(info.uri)} is missing"
        return
    if not info.digest:
        yield "has no digest at its node, so its files cannot be checked"
    Contents(files).verified(info)
    if info.codec == "units":
        yield from units.faults(info, deep=deep)
    else:
        yield from _of_rows(files, info, deep=deep)


def _of_rows(files: Files, info: SegmentInfo, *, deep: bool) -> Iterator[str]:
    path, context = files.path(info.uri), files.context()
    match info.codec:
        case "table":
            rows = tables.read(files, info).num_rows
            if rows != info.rows:
                yield f"should have {info.rows} rows and has {rows}"
        case "dense":
            yield from dense.faults(path, info, context)
            for positions in _all(info.rows if deep else 0):
                dense.read_runs(path, info, [positions], context)
        case "ragged":
            yield from ragged.faults(path, info, context)
            for positions in _all(info.rows if deep else 0):
                ragged.read(path, info, positions, context)
        case "tiled":
            yield from tiled.faults(path, info, context)
            if deep:
                tiled.check_rows(path, info, context)


def _all(rows: int) -> Iterator[NDArray[np.int64]]:
    """All positions, a block at a time."""
    for start in range(0, rows, _ROWS):
        yield np.arange(start, min(start + _ROWS, rows))
