"""Images: shapes and digests agree with the stored pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.records.segments import all_segments
from odin_graph.errors import StoreError
from odin_graph.graph.writer import batches
from odin_graph.stores import Stores


def live_images(stores: Stores) -> dict[int, str]:
    """The digest of each image that is not deleted, by key."""
    images = stores.columns.images(["digest"])
    return dict(zip(images.column("key").to_pylist(), images.column("digest").to_pylist(), strict=True))


def check_shapes(stores: Stores) -> Iterator[Fault]:
    """Check that height, width, bands and dtype of each image are those of its pixels."""
    table = stores.columns.images(["height", "width", "bands", "dtype"])
    keys = table.column("key").to_numpy()
    recorded = list(
        zip(*(table.column(name).to_pylist() for name in ("height", "width", "bands", "dtype")), strict=True)
    )
    wrong: list[dict[str, object]] = []
    for info in all_segments(stores):
        if info.array != ARRAY:
            continue
        try:
            segment_keys = stores.arrays.keys(info)
            shapes = stores.arrays.shapes(info, np.arange(len(segment_keys)))
        except (StoreError, OSError):  # `check_segments` reports it
            continue
        positions = np.searchsorted(keys, segment_keys)
        for key, position, shape in zip(segment_keys.tolist(), positions.tolist(), shapes, strict=True):
            if position < len(keys) and keys[position] == key and recorded[position] != (*shape, info.dtype):
                height, width, bands = shape
                wrong.append({"key": key, "height": height, "width": width, "bands": bands, "dtype": info.dtype})
    if wrong:
        yield Fault(
            "images",
            f"{len(wrong)} are of another height, width, bands or dtype than their pixels, first keys "
            f"{shown(row['key'] for row in wrong)}.",
            "`odin doctor --repair` takes them from the pixels; look for a client that changes nodes of ours.",
            partial(_reshape, stores, wrong),
        )


def _reshape(stores: Stores, rows: list[dict[str, object]]) -> str:
    for part in batches(rows):
        stores.graph.write(
            "UNWIND $rows AS r MATCH (i:Image {key: r.key}) "
            "SET i.height = r.height, i.width = r.width, i.bands = r.bands, i.dtype = r.dtype",
            {"rows": part},
        )
    return f"Height, width, bands and dtype of {len(rows)} images were taken from their pixels."


def tombstones(stores: Stores) -> set[int]:
    """The keys of images that were deleted but not purged, whose pixels may still exist."""
    deleted: set[int] = set()
    purged: set[int] = set()
    for rows in stores.graph.stream(
        "MATCH (x:Deletion)<-[:INVALIDATED_BY]-(i:Image) RETURN i.key AS key, x.state AS state"
    ):
        for row in rows:
            (purged if row["state"] == "purged" else deleted).add(row["key"])
    return deleted - purged
