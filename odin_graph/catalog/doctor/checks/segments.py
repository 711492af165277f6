"""Segments: on disk as the graph names them, and the pixels of every image in exactly one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.records.segments import all_segments
from odin_graph.errors import StoreError
from odin_graph.stores import Stores

_RESTORE = "Restore the files from a backup, or add the images again after deleting them."


def check_segments(stores: Stores, *, deep: bool = False) -> Iterator[Fault]:
    """Every named segment is there, with the keys and rows that its node says; a deep look reads every value.

    Pixels are read by `check_digests`.
    """
    for info in all_segments(stores):
        for reason in stores.arrays.check(info, deep=deep and info.array != ARRAY):
            yield Fault(f"segment {info.id} of {info.array!r}", reason, "Restore its files from a backup.")


def check_pixels(stores: Stores, images: dict[int, str], deleted: set[int]) -> Iterator[Fault]:
    """Every image has pixels, once; no pixels without an image.

    Args:
        stores: The open workspace.
        images: The digest of each image that is not deleted, by key.
        deleted: The keys of those that were deleted and not purged: their pixels may be there.
    """
    covered: list[NDArray[np.int64]] = []
    for info in all_segments(stores):
        if info.array == ARRAY:
            try:
                covered.append(stores.arrays.keys(info))
            except (StoreError, OSError):  # `check_segments` says so
                continue
    held = np.concatenate([np.empty(0, np.int64), *covered])
    keys, count = np.unique(held, return_counts=True)
    expected = np.array(sorted(images), np.int64)
    if (lost := np.setdiff1d(expected, keys)).size:
        yield Fault("pixels", f"{lost.size} images have none, first keys {shown(lost)}.", _RESTORE)
    if (twice := keys[count > 1]).size:
        yield Fault(
            "pixels",
            f"{twice.size} images are in several segments, first keys {shown(twice)}.",
            "Report it: it is a bug of ours.",
        )
    if (strange := np.setdiff1d(keys, np.concatenate([expected, np.array(sorted(deleted), np.int64)]))).size:
        yield Fault(
            "pixels",
            f"{strange.size} keys are of no image, or of one that was purged, first {shown(strange)}.",
            "Look for a client that deletes image nodes itself, and let it use db.images instead; purge again.",
        )
