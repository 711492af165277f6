"""Reads pixels in blocks, the next one while one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.runtime.pixels.ahead import read_ahead
from odin_graph.stores import Stores

BLOCK_BYTES = 64 * 2**20
MOST_ROWS = 4_096
_RAGGED = 2**20
"""Bytes of an image, where every image has a size of its own."""

Keys = NDArray[np.int64]
Images = list[NDArray[Any]]


def pixel_blocks(
    stores: Stores, keys: Keys, *, least: int = 1, read: Callable[[Keys], Images] | None = None
) -> Iterator[tuple[Keys, Images]]:
    """The pixels (h, w, bands) of images, in the order of their keys; the next block is read while one is used.

    Args:
        stores: The open workspace.
        keys: The images, in any order.
        least: A block has at least so many images, except the last and huge ones, which are a block each.
        read: Gives the images of a block, where they are not the whole stored ones.
    """
    segments = stores.columns.segments(ARRAY)
    pixels = stores.columns.array(ARRAY)
    ordered = np.sort(keys)
    widest = max((segment.row_bytes for segment in segments if segment.codec == "dense"), default=_RAGGED)
    rows = max(least, min(MOST_ROWS, BLOCK_BYTES // widest))
    blocks = _blocks(ordered, rows, pixels.huge() if read is None else ordered[:0])
    yield from read_ahead(pixels.read_list if read is None else read, blocks)


def _blocks(keys: Keys, rows: int, huge: Keys) -> list[Keys]:
    """Sorted keys in blocks of so many; a huge image is a block alone."""
    edges = np.flatnonzero(np.isin(keys, huge))
    runs: Sequence[Keys] = np.split(keys, np.unique(np.concatenate([edges, edges + 1])))
    return [run[start : start + rows] for run in runs for start in range(0, len(run), rows)]
