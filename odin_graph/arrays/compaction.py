"""Few, large segments: every read costs milliseconds whatever its size, so small segments are rewritten as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray
from odin_graph.arrays.store import ArrayStore

_SHARE: Final = 8
"""A new segment, which is written from memory, takes an eighth of the budget at most."""


def compact(store: ArrayStore, segments: Sequence[SegmentInfo]) -> list[SegmentInfo]:
    """Write as few new segments as the budget allows for those of one array, codec, dtype and shape.

    The caller replaces the nodes in one graph transaction; until then nothing has changed, and afterwards the old
    segments are garbage. A segment that is the only one of its kind is returned itself, and so is one that is tiled or
    holds units. Rows of tables are ordered by key.

    Args:
        store: Where they are.
        segments: In the order in which they were written: of a key that is stored twice, the last row counts.

    Raises:
        SpaceError: No space is left; what was written for it is removed.
    """
    groups: defaultdict[tuple[str, str, str, tuple[int, ...]], list[SegmentInfo]] = defaultdict(list)
    for info in segments:
        groups[info.array, info.codec, info.dtype, info.shape].append(info)
    kept: list[SegmentInfo] = []
    written: list[SegmentInfo] = []
    try:
        for group in groups.values():
            if len(group) == 1 or group[0].codec in ("tiled", "units"):  # huge alone; units have scales
                kept += group
            elif group[0].codec == "table":
                written.append(_merged_table(store, group))
            else:
                _merge_rows(store, group, written)
    except BaseException:
        for info in written:
            store.remove(info.uri)
        raise
    return kept + written


def _merge_rows(store: ArrayStore, group: Sequence[SegmentInfo], written: list[SegmentInfo]) -> None:
    array = SegmentedArray(store.uncached(), group)
    keys = array.coverage()
    limit = max(1, store.budget.memory // _SHARE)
    parts = -(-sum(map(store.decoded_bytes, group)) // limit)
    for part in np.array_split(keys, min(len(keys), max(1, parts))):
        if group[0].codec == "dense":
            written.append(store.write_dense(group[0].array, part, array.read(part)))
        else:
            written.append(store.write_ragged(group[0].array, part, array.read_list(part)))


def _merged_table(store: ArrayStore, group: Sequence[SegmentInfo]) -> SegmentInfo:
    table = pa.concat_tables(map(store.read_table, group), promote_options="permissive")
    keys = table.column("key").to_numpy()
    # The last row of each key: the first of the reversed rows.
    _, last = np.unique(keys[::-1], return_index=True)
    return store.write_table(group[0].array, table.take(pa.array(len(keys) - 1 - last)))
