"""Segments: their files match the graph, and the pixels of every image are in exactly one."""

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


def check_segments(stores: Stores) -> Iterator[Fault]:
    """Check that every named segment exists, with the keys and rows of its node."""
    for info in all_segments(stores):
        for reason in stores.arrays.check(info):
            yield Fault(f"segment {info.id} of {info.array!r}", reason, "Restore its files from a backup.")


def check_pixels(stores: Stores, images: dict[int, str], deleted: set[int]) -> Iterator[Fault]:
    """Check that every image has pixels exactly once, and that there are no pixels without an image.

    Args:
        stores: The open workspace.
        images: The digest of each image that is not deleted, by key.
        deleted: The keys of images that were deleted but not purged, whose pixels may still exist.
    """
    covered: list[NDArray[np.int64]] = []
    for info in all_segments(stores):
        if info.array == ARRAY:
            try:
                covered.append(stores.arrays.keys(info))
            except (StoreError, OSError):  # `check_segments` reports it
                continue
    all_keys = np.concatenate([np.empty(0, np.int64), *covered])
    keys, count = np.unique(all_keys, return_counts=True)
    expected = np.array(sorted(images), np.int64)
    if (missing := np.setdiff1d(expected, keys)).size:
        yield Fault("pixels", f"{missing.size} images have none, first keys {shown(missing)}.", _RESTORE)
    if (twice := keys[count > 1]).size:
        yield Fault(
            "pixels",
            f"{twice.size} images are in several segments, first keys {shown(twice)}.",
            "Report it: it is a bug of ours.",
        )
    if (unknown := np.setdiff1d(keys, np.concatenate([expected, np.array(sorted(deleted), np.int64)]))).size:
        yield Fault(
            "pixels",
            f"{unknown.size} keys are of no image, or of one that was purged, first {shown(unknown)}.",
            "Look for a client that deletes image nodes itself, and let it use db.images instead; purge again.",
        )
