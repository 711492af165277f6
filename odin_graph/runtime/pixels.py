"""Reads pixels in blocks, one block ahead of who uses them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.pixels import ARRAY
from odin_graph.stores import Stores

BLOCK_BYTES = 64 * 2**20
MOST_ROWS = 4_096
_RAGGED = 2**20
"""Bytes of an image, where every image has a size of its own."""

Keys = NDArray[np.int64]
Images = list[NDArray[Any]]


def pixel_blocks(stores: Stores, keys: Keys, *, least: int = 1) -> Iterator[tuple[Keys, Images]]:
    """The pixels (h, w, bands) of images, in the order of their keys; the next block is read while one is used.

    Args:
        stores: The open workspace.
        keys: The images, in any order.
        least: A block has at least so many images, except the last.
    """
    segments = stores.columns.segments(ARRAY)
    pixels = SegmentedArray(stores.arrays, segments)
    ordered = np.sort(keys)
    widest = max((held.row_bytes for held in segments if held.codec == "dense"), default=_RAGGED)
    rows = max(least, min(MOST_ROWS, BLOCK_BYTES // widest))
    blocks = [ordered[start : start + rows] for start in range(0, len(ordered), rows)]
    if not blocks:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="odin pixels") as ahead:
        coming = ahead.submit(pixels.read_list, blocks[0])
        for place, block in enumerate(blocks):
            images = coming.result()
            if place + 1 < len(blocks):
                coming = ahead.submit(pixels.read_list, blocks[place + 1])
            yield block, images
