"""Few, large segments: every read costs milliseconds whatever its size, so small segments are rewritten as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray
from odin_graph.arrays.store import ArrayStore


def compact(store: ArrayStore, segments: Sequence[SegmentInfo]) -> list[SegmentInfo]:
    """Write one new segment for all dense and all ragged ones of one array, dtype and shape.

    The caller swaps the nodes in one graph transaction; until then nothing has changed, and afterwards the old
    segments are garbage. Where there is nothing to merge, the segments themselves come back.

    Args:
        store: Where they are.
        segments: Of arrays, in the order in which they were written.
    """
    alike: defaultdict[tuple[str, str, str, tuple[int, ...]], list[SegmentInfo]] = defaultdict(list)
    for info in segments:
        alike[info.array, info.codec, info.dtype, info.shape].append(info)
    merged: list[SegmentInfo] = []
    for group in alike.values():
        if len(group) == 1 or group[0].codec == "table":
            merged += group
            continue
        array = SegmentedArray(store, group)
        keys = array.coverage()
        if group[0].codec == "dense":
            merged.append(store.write_dense(group[0].array, keys, array.read(keys)))
        else:
            merged.append(store.write_ragged(group[0].array, keys, array.read_list(keys)))
    return merged
