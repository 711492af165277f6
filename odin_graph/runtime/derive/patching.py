"""Patches of stored images: of what is cut from an image as it is, nothing but the patches is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.images.derived import Wanted
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.errors import OdinError, StoreError
from odin_graph.ops import Pipeline
from odin_graph.ops.op import ImageOp
from odin_graph.ops.patch import Patch, Patches
from odin_graph.runtime.derive.derive import apply, recipe_of
from odin_graph.runtime.derive.storing import DeriveReport, Images, store_made
from odin_graph.stores import Stores

Side: TypeAlias = "int | None"
"""Height or width of an image; None where another client made it past odin_graph."""
_BLOCK_BYTES: Final = 64 << 20
"""Patches that are in memory at once, if they are RGB of 8 bits."""


@dataclass(frozen=True, eq=False)
class Cutting:
    """Which patch of which image belongs to each place.

    Args:
        before: Operations on the whole image, before it is cut.
        parents: The image of each place, as a row of the table of images (n,).
        places: Row and column in the grid (n, 2).
        patches: What is cut (n).
    """

    before: tuple[ImageOp, ...]
    parents: NDArray[np.int64]
    places: NDArray[np.int64]
    patches: Sequence[Patch]

    @classmethod
    def of(cls, before: tuple[ImageOp, ...], grid: Patches, sizes: Sequence[tuple[str, Side, Side]]) -> Cutting:
        """The grids of images.

        Args:
            before: Operations on the whole image.
            grid: Of each.
            sizes: Id, height and width of each image.

        Raises:
            OdinError: An operation or the grid does not fit an image; names it.
        """
        parents: list[int] = []
        places: list[tuple[int, int]] = []
        patches: list[Patch] = []
        known: dict[tuple[Side, Side], list[Any]] = {}
        for row, (id_, height, width) in enumerate(sizes):
            if (height, width) not in known:
                try:
                    if height is None or width is None:
                        raise StoreError(
                            "it has no size, as another client made it without odin_graph. Leave it out, delete it, or "
                            "give it pixels (image.revise)."
                        )
                    where = Pipeline(before).geometry(height, width)
                    known[height, width] = list(grid.of(where.height, where.width))
                except OdinError as error:
                    raise type(error)(f"Image {id_!r}: {error}") from error
            for placed in known[height, width]:
                parents.append(row)
                places.append((placed.row, placed.column))
                patches.append(placed.patch)
        return cls(before, np.array(parents, np.int64), np.array(places, np.int64).reshape(-1, 2), patches)

    def __len__(self) -> int:
        """How many patches there are."""
        return len(self.patches)

    def take(self, at: NDArray[np.int64]) -> Cutting:
        """The patches at some places."""
        chosen = [self.patches[place] for place in at.tolist()]
        return replace(self, parents=self.parents[at], places=self.places[at], patches=chosen)

    def read(self, array: PixelReader, keys: NDArray[np.int64], at: NDArray[np.int64]) -> list[NDArray[Any]]:
        """The patches at some places.

        Args:
            array: The images.
            keys: Of the image at every place (n,).
            at: The places.
        """
        asked = keys[at]
        wanted = [self.patches[place] for place in at.tolist()]
        if not self.before:
            boxes = [patch.inside(*shape[:2]) for patch, shape in zip(wanted, array.shapes(asked), strict=True)]
            found = array.read_boxes(asked, boxes)
            return [patch.filled(part) for patch, part in zip(wanted, found, strict=True)]
        every = np.unique(asked)
        whole = dict(zip(every.tolist(), map(Pipeline(self.before), array.read_list(every)), strict=True))
        return [np.array(patch(whole[key])) for patch, key in zip(wanted, asked.tolist(), strict=True)]


def store_patches(
    stores: Stores,
    parents: pa.Table,
    cutting: Cutting,
    after: tuple[ImageOp, ...],
    name: str,
    *,
    progress: bool = True,
    acknowledge: Callable[[str], None] = lambda _: None,
) -> DeriveReport:
    """Store patches as images ``PARENT_ID#name/ROW-COLUMN``; see `odin_graph.runtime.derive.storing.store_made`.

    Args:
        stores: The open workspace.
        parents: ``key``, ``id``, and what their patches inherit.
        cutting: The patches, by the rows of that table.
        after: Operations on each patch.
        name: The part of the ids after the #.
        progress: Show a bar.
        acknowledge: Called with the last id of each batch once it is stored.
    """
    ids, keys = parents.column("id").to_pylist(), parents.column("key").to_numpy()
    place_keys = keys[cutting.parents] if len(cutting) else np.array([], np.int64)
    recipes: dict[tuple[Patch, int, int], Any] = {}  # images of one size share theirs
    wanted: list[Wanted] = []
    for parent, (row, column), patch in zip(
        cutting.parents.tolist(), cutting.places.tolist(), cutting.patches, strict=True
    ):
        key = (patch, row, column)
        if key not in recipes:
            recipes[key] = recipe_of([*cutting.before, patch, *after], name, f"{row}-{column}")
        wanted.append(Wanted(int(keys[parent]), ids[parent], recipes[key]))
    array = stores.columns.array(ARRAY)

    def make(missing: Sequence[int]) -> Iterator[tuple[Sequence[int], Images]]:
        for block in _blocks(missing, cutting, place_keys):
            images = cutting.read(array, place_keys, np.array(block, np.int64))
            yield block, apply(stores.budget.threads, after, [wanted[place].made_id for place in block], images)

    return store_made(stores, parents, wanted, make, progress=progress, acknowledge=acknowledge)


def _blocks(missing: Sequence[int], cutting: Cutting, keys: NDArray[np.int64]) -> Iterator[Sequence[int]]:
    """So many as fit in memory; an image that is worked on as a whole is in one block alone."""
    if not missing:
        return
    left, top, right, bottom = cutting.patches[missing[0]].box
    most = max(1, _BLOCK_BYTES // ((bottom - top) * (right - left) * 3))
    block: list[int] = []
    for place in missing:
        other = bool(block) and keys[block[-1]] != keys[place]
        if block and (len(block) >= most if not cutting.before else other and len(block) >= most):
            yield block
            block = []
        block.append(place)
    yield block
