"""Write pixels as segments: uniform images together, odd ones as ragged rows, huge ones alone; merge small segments."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import Rows, SegmentInfo, compact
from odin_graph.catalog.images.batch import Pixels
from odin_graph.catalog.images.sources import Digesting, is_rows
from odin_graph.catalog.records.segments import discard, segments_of, swap_segments
from odin_graph.errors import DataError, OdinError, StoreError
from odin_graph.served import served
from odin_graph.stores import Stores

ARRAY = "pixels"
ORIGINALS = "originals"

UNIFORM = 16
"""At least so many images of one shape and dtype get their own dense segment; fewer are stored with the odd ones."""
ROWS = 262_144
"""Compaction makes no segment with more images."""


def write_pixels(
    stores: Stores, keys: NDArray[np.int64], arrays: Sequence[Pixels | Rows], digests: Sequence[str]
) -> list[SegmentInfo]:
    """Write images (h, w, c) as segments that no node names yet.

    Args:
        stores: The open workspace.
        keys: One an image.
        arrays: The pixels, of any shapes and dtypes; huge images as sources that are read by rows.
        digests: Their digests. Huge images are read a second time here and must still match.

    Raises:
        DataError: The pixels of a huge image are no longer those of its digest.
    """
    small = [position for position, image in enumerate(arrays) if not is_rows(image)]
    written: list[SegmentInfo] = []
    try:
        for position, image in enumerate(arrays):
            if is_rows(image):
                source = Digesting(image)
                written.append(stores.arrays.write_tiled(ARRAY, int(keys[position]), source))
                if source.digest() != digests[position]:
                    raise DataError(
                        f"The pixels of an image of shape {image.shape} changed while they were stored, so "
                        "nothing of the batch was stored: wait until they are written, and call again."
                    )
        if small:
            images = [arrays[position] for position in small]
            written += _write_small(stores, keys[small], [image for image in images if isinstance(image, np.ndarray)])
    except BaseException:
        discard(stores, written)
        raise
    return written


def _write_small(stores: Stores, keys: NDArray[np.int64], arrays: Sequence[Pixels]) -> list[SegmentInfo]:
    groups: dict[tuple[tuple[int, ...], str], list[int]] = defaultdict(list)
    for position, image in enumerate(arrays):
        groups[image.shape, image.dtype.str].append(position)
    written: list[SegmentInfo] = []
    odd: dict[str, list[int]] = defaultdict(list)
    for (_, dtype), positions in groups.items():
        if len(positions) < UNIFORM and len(groups) > 1:
            odd[dtype] += positions
            continue
        # What np.stack gives, in a third of its time.
        rows = np.concatenate([arrays[position] for position in positions]).reshape(-1, *arrays[positions[0]].shape)
        written.append(stores.arrays.write_dense(ARRAY, keys[positions], rows))
    for positions in odd.values():
        positions.sort()
        written.append(stores.arrays.write_ragged(ARRAY, keys[positions], [arrays[p] for p in positions]))
    return written


@served
def shapes_of(stores: Stores, keys: list[int]) -> list[tuple[int, ...]]:
    """The shapes (h, w, bands) of images."""
    return stores.columns.array(ARRAY).shapes(np.array(keys, np.int64))


def write_originals(stores: Stores, keys: NDArray[np.int64], originals: Sequence[bytes | None]) -> list[SegmentInfo]:
    """Write the encoded bytes of the images that have some."""
    positions = [position for position, original in enumerate(originals) if original is not None]
    if not positions:
        return []
    rows = [np.frombuffer(originals[position] or b"", np.uint8) for position in positions]
    return [stores.arrays.write_ragged(ORIGINALS, keys[positions], rows)]


def compact_pixels(stores: Stores, coming: Sequence[SegmentInfo] = (), wait: Callable[[], None] = lambda: None) -> int:
    """Merge small segments; called when a job ends. Returns by how many the number of segments shrank.

    A new segment is written, then one transaction swaps the nodes, then the old files are removed: a reader that had
    listed them reads the new one. Segments that cannot be merged stay as they are: nothing is lost.

    Args:
        stores: The open workspace.
        coming: Segments that a thread is naming: the first are merged meanwhile.
        wait: Waits until they are named, and raises where they are not; called before any node is swapped.
    """
    saved = 0
    for array in (ARRAY, ORIGINALS):
        found = {segment.id: segment for segment in segments_of(stores, array)}
        found |= {segment.id: segment for segment in coming if segment.array == array}
        for group in _groups(list(found.values()), most_bytes=stores.budget.memory // 8):
            try:
                new = compact(stores.arrays, group)
            except StoreError:  # another process was faster, no space is left, or a file is missing
                continue
            try:
                wait()
            except BaseException:
                with suppress(OdinError):  # what cannot be removed now is left to `odin gc`
                    discard(stores, new)
                raise
            if swap_segments(stores, group, new):
                discard(stores, group)
                saved += len(group) - len(new)
    return saved


def _groups(segments: Sequence[SegmentInfo], most_bytes: int) -> list[list[SegmentInfo]]:
    alike: dict[tuple[str, str, tuple[int, ...]], list[SegmentInfo]] = defaultdict(list)
    for segment in sorted(segments, key=lambda s: s.min_key):
        if segment.codec == "tiled":
            continue  # a huge image is large enough alone
        alike[segment.codec, segment.dtype, tuple(segment.shape)].append(segment)
    groups: list[list[SegmentInfo]] = []
    for same in alike.values():
        open_group: list[SegmentInfo] = []
        rows = 0
        most = _most_rows(same[0], most_bytes)
        for segment in same:
            if segment.rows > most // 2:
                continue  # large enough: rewriting it would cost more than it saves
            if rows + segment.rows > most:
                groups.append(open_group)
                open_group, rows = [], 0
            open_group.append(segment)
            rows += segment.rows
        groups.append(open_group)
    return [group for group in groups if len(group) > 1]


def _most_rows(segment: SegmentInfo, most_bytes: int) -> int:
    # A ragged row has no fixed size: assume an image of a megapixel.
    numbers = math.prod(segment.shape) if segment.codec == "dense" else 2**20
    row_bytes = numbers * int(np.dtype(segment.dtype).itemsize)
    return min(ROWS, max(2, most_bytes // max(1, row_bytes)))
