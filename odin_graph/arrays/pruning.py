"""Segments without some of their keys, which a purge puts in place of those that contained an image."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from odin_graph.arrays.forgetting import forgetting
from odin_graph.arrays.keys import Keys
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray
from odin_graph.arrays.store import ArrayStore
from odin_graph.errors import StoreError

_SHARE: Final = 8
"""A new segment, which is written from memory, takes an eighth of the budget at most."""


def without(store: ArrayStore, info: SegmentInfo, keys: Keys) -> list[SegmentInfo]:
    """Write the rows of a segment that are not of these keys as new segments, which the caller names in its place.

    A table keeps its order, and is written even if nothing is left of it. Of any other segment of which nothing is
    left, nothing is written.

    Args:
        store: Where it is.
        info: The segment.
        keys: Those to leave out.

    Raises:
        StoreError: It cannot be read, or is of a kind that holds several keys and cannot be rewritten.
        SpaceError: No space is left; what was written for it is removed.
    """
    if info.codec == "table":
        table = store.read_table(info)
        kept = ~np.isin(table.column("key").to_numpy(), keys)
        return [store.write_table(info.array, table.filter(pa.array(kept)))]
    stored = store.keys(info)
    remaining = stored[~np.isin(stored, keys)]
    if not len(remaining):
        return []
    if info.codec == "units":
        kept = np.isin(stored, keys, invert=True)
        slabs = (forgetting(slab, kept) for slab in store.units.slabs(info))
        return [store.units.write_stored(info.array, remaining, info.shape[0], info.dtype, slabs)]
    if info.codec not in ("dense", "ragged"):
        raise StoreError(
            f"The segment {info.id} of {info.array} is {info.codec}: it cannot be rewritten without a key."
        )
    array = SegmentedArray(store.uncached(), [info])
    parts = -(-store.decoded_bytes(info) // max(1, store.budget.memory // _SHARE))
    written: list[SegmentInfo] = []
    try:
        for part in np.array_split(remaining, min(len(remaining), max(1, parts))):
            if info.codec == "dense":
                written.append(store.write_dense(info.array, part, array.read(part)))
            else:
                written.append(store.write_ragged(info.array, part, array.read_list(part)))
    except BaseException:
        for new in written:
            store.remove(new.uri)
        raise
    return written
