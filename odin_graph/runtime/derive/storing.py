"""Images that are made of others: stored batch by batch, so that a repeated call goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.images.derived import Recipe, Wanted, add_derived, derivatives
from odin_graph.catalog.images.pixels import ARRAY, compact_pixels
from odin_graph.ops.op import ImageOp
from odin_graph.progress import progress_bar
from odin_graph.runtime.pixels.cropping import read_cut
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.stores import Stores

BATCH = 10_000
"""Images a transaction, unless their pixels reach the other limit before."""
BATCH_BYTES: Final = 256 << 20

Images: TypeAlias = Sequence[NDArray[Any]]
Compute: TypeAlias = Callable[[NDArray[np.int64], Sequence[str], Images], Images]
"""Keys, ids and pixels of parents in, pixels of what is made of them out."""
Make: TypeAlias = Callable[[Sequence[int]], Iterable[tuple[Sequence[int], Images]]]
"""Positions in the list of wanted images, sorted by parent, in; blocks of them with their pixels out."""


@dataclass(frozen=True, eq=False)
class DeriveReport:
    """What became of a call."""

    keys: NDArray[np.int64]
    """Keys of the derived images, in the order of their parents."""
    computed: int
    found: int
    """There already, made with the same parameters."""
    deleted: int
    """Deleted since they were made: they do not come back unasked."""


def of_each(parents: pa.Table, recipe: Recipe) -> list[Wanted]:
    """One image of each parent, in their order."""
    return [
        Wanted(key, id_, recipe)
        for key, id_ in zip(parents.column("key").to_pylist(), parents.column("id").to_pylist(), strict=True)
    ]


def from_parents(stores: Stores, wanted: Sequence[Wanted], compute: Compute, *, cut: ImageOp | None = None) -> Make:
    """Make one image of each parent, from its pixels; with `cut`, from the box that this operation cuts out."""

    def make(missing: Sequence[int]) -> Iterator[tuple[list[int], Images]]:
        places = {wanted[place].key: place for place in missing}
        array = stores.columns.array(ARRAY)

        def read(block: NDArray[np.int64]) -> list[NDArray[Any]]:
            assert cut is not None
            return read_cut(array, block, cut, [wanted[places[key]].id for key in block.tolist()])

        keys = np.fromiter(places, np.int64, len(places))
        for block, images in pixel_blocks(stores, keys, read=None if cut is None else read):
            block_places = [places[key] for key in block.tolist()]
            yield block_places, compute(block, [wanted[place].id for place in block_places], images)

    return make


def store_made(
    stores: Stores,
    parents: pa.Table,
    wanted: Sequence[Wanted],
    make: Make,
    *,
    progress: bool = True,
    acknowledge: Callable[[str], None] = lambda _: None,
) -> DeriveReport:
    """Store the images that are wanted and do not exist.

    Args:
        stores: The open workspace.
        parents: ``key``, ``id``, and what their derivatives inherit: ``label``, free metadata.
        wanted: Any number of each parent.
        make: Makes it.
        progress: Show a bar.
        acknowledge: Called with the last id of each batch once it is stored.

    Raises:
        ConflictError: The name is taken by images that were made in another way.
    """
    rows = {key: row for row, key in enumerate(parents.column("key").to_pylist())}
    inherited = parents.drop_columns(["key", "id"])
    found = derivatives(stores, wanted)
    # A call over all images also meets images that it made before: these are found, and nothing is derived from them.
    own = {key for key in found.values() if key is not None} & set(rows)
    asked = [place for place, item in enumerate(wanted) if item.key not in own]
    existing = [found[place] for place in asked if place in found]
    missing = sorted((place for place in asked if place not in found), key=lambda place: wanted[place].key)

    def made() -> Iterator[tuple[int, NDArray[Any]]]:
        for places, images in make(missing):
            yield from zip(places, images, strict=True)

    name = wanted[0].recipe.name if wanted else ""
    with progress_bar(f"derive {name}", len(missing), show=progress) as advance:
        for places, pixels in _batched(made()):
            batch = [wanted[place] for place in places]
            taken = inherited.take(pa.array([rows[item.key] for item in batch], pa.int64()))
            columns = {name: taken.column(name).to_pylist() for name in taken.column_names}
            report = add_derived(stores, batch, pixels, columns)
            found.update(zip(places, report.keys.tolist(), strict=True))
            acknowledge(batch[-1].made_id)
            advance(len(places))
    if missing:
        compact_pixels(stores)
    keys = [key for place in asked if (key := found[place]) is not None]
    deleted = sum(key is None for key in existing)
    return DeriveReport(np.array(keys, np.int64), len(missing), len(existing) - deleted, deleted)


def _batched(items: Iterator[tuple[int, NDArray[Any]]]) -> Iterator[tuple[list[int], list[NDArray[Any]]]]:
    places: list[int] = []
    pixels: list[NDArray[Any]] = []
    size = 0
    for place, image in items:
        places.append(place)
        pixels.append(image)
        size += image.nbytes
        if len(places) >= BATCH or size >= BATCH_BYTES:
            yield places, pixels
            places, pixels, size = [], [], 0
    if places:
        yield places, pixels
