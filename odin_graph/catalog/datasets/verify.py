"""Check that a version is still what was frozen, and compare two versions: equal, or the first difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.datasets.frozen import content_digest
from odin_graph.catalog.datasets.versions import Members
from odin_graph.catalog.images.batch import image_digest
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.deadline import check
from odin_graph.errors import StoreError
from odin_graph.graph.writer import batches
from odin_graph.progress import progress_bar
from odin_graph.served import served, travels
from odin_graph.stores import Stores

Rows: TypeAlias = list[tuple[str, str | None, Any]]
_AT_ONCE: Final = 1_024
"""Images whose pixels are in memory at once."""
_IMAGES: Final = "UNWIND $keys AS key MATCH (i:Image {key: key}) RETURN collect([i.key, i.id, i.digest]) AS rows"


@travels
@dataclass(frozen=True, repr=False)
class Verified:
    """The outcome of checking a data set version."""

    dataset: str
    difference: str | None
    """The first difference from what was frozen; None if there is none."""

    def __bool__(self) -> bool:
        """Whether the version is as it was frozen."""
        return self.difference is None

    def __str__(self) -> str:
        return f"{self.dataset}: {self.difference or 'equal'}"

    __repr__ = __str__


@served
def verify(stores: Stores, dataset: str, *, deep: bool = False, progress: bool = True) -> Verified:
    """Compute a version's digest again from what is stored now.

    Args:
        stores: The open workspace.
        dataset: The version's id.
        deep: Also read every pixel again, and compare each image with its own digest.
        progress: Show a bar while pixels are read.
    """
    (record,) = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN d.digest AS digest", {"id": dataset})
    members = Members.of(stores, dataset)
    images = _images(stores, members)
    for key in members.keys.tolist():
        if images.get(key, ("", None))[1] is None:
            return Verified(dataset, f"the image of key {key} was purged, so that the digest cannot be computed again")
    if deep and (bad := _first_bad(stores, members, images, progress)) is not None:
        return Verified(dataset, bad)
    digests = [str(images[key][1]) for key in members.keys.tolist()]
    if content_digest(digests, members.labels) != record["digest"]:
        return Verified(dataset, f"images or labels are others than those frozen under {record['digest'][:12]}")
    return Verified(dataset, None)


def compare(this: tuple[str, Rows], other: tuple[str, Rows]) -> Verified:
    """Compare two versions, of one workspace or of two, by `rows_of`: pixels by digest, and labels, in order."""
    rows, other_rows = this[1], other[1]
    for index, (mine, theirs) in enumerate(zip(rows, other_rows, strict=False)):
        if mine[1] != theirs[1]:
            return Verified(this[0], f"image {index}: {mine[0]!r} here, {theirs[0]!r} in {other[0]}, other pixels")
        if type(mine[2]) is not type(theirs[2]) or mine[2] != theirs[2]:
            return Verified(this[0], f"image {index}, {mine[0]!r}: label {mine[2]!r} here, {theirs[2]!r} in {other[0]}")
    if len(rows) != len(other_rows):
        return Verified(this[0], f"{len(rows):,} images here, {len(other_rows):,} in {other[0]}")
    return Verified(this[0], None)


@served
def rows_of(stores: Stores, dataset: str) -> Rows:
    """Id, digest and label of every member, in the order of the version."""
    members = Members.of(stores, dataset)
    images = _images(stores, members)
    missing = ("a purged image", None)
    return [
        (*images.get(key, missing), label) for key, label in zip(members.keys.tolist(), members.labels, strict=True)
    ]


def _images(stores: Stores, members: Members) -> dict[int, tuple[str, str | None]]:
    """Id and digest by key, also of deleted images, whose pixels still exist."""
    found: dict[int, tuple[str, str | None]] = {}
    for part in batches(members.keys.tolist()):
        (row,) = stores.graph.read(_IMAGES, {"keys": part})
        found.update({key: (id_, digest) for key, id_, digest in row["rows"]})
    return found


def _first_bad(
    stores: Stores, members: Members, images: dict[int, tuple[str, str | None]], progress: bool
) -> str | None:
    # Uncached: check the stored files, not cached pixels.
    pixels = SegmentedArray(stores.arrays.uncached(), stores.columns.segments(ARRAY))
    with progress_bar("verify pixels", len(members), show=progress) as advance:
        for at in range(0, len(members), _AT_ONCE):
            keys = members.keys[at : at + _AT_ONCE]
            try:
                read = pixels.read_lazily(np.asarray(keys))
            except StoreError as error:
                return f"pixels cannot be read: {error}"
            for key, image in zip(keys.tolist(), read, strict=True):
                check()
                if image_digest(image) != images[key][1]:
                    return f"the pixels of {images[key][0]!r} are others than those it was stored with"
            advance(len(keys))
    return None
