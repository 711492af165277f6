"""`PatchQuery`: patches of the images of a query. Nothing is stored before `store`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import MOST, ContactSheet, Scaling, Tile, contact_sheet
from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.config import Budget
from odin_graph.errors import QueryError
from odin_graph.objects.query.derived_image import DerivedImage
from odin_graph.objects.query.mapping import parents_of
from odin_graph.objects.query.operations import Operations
from odin_graph.objects.query.pixels_out import Read
from odin_graph.objects.query.training import Training
from odin_graph.ops.geometry import knows_positions
from odin_graph.ops.op import ImageOp, name_of
from odin_graph.ops.patch import Patches
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.runtime.derive.derive import apply, step_of
from odin_graph.runtime.derive.function import Function
from odin_graph.runtime.derive.patching import Cutting, store_patches
from odin_graph.runtime.derive.storing import DeriveReport
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query

_AT_ONCE: Final = 256


@checked_calls
@dataclass(frozen=True, eq=False, repr=False)
class PatchQuery(Operations["PatchQuery"], Training):
    """Patches of each image of a query, image by image, row by row. Immutable, lazy, and can be pickled."""

    query: Query
    before: tuple[ImageOp, ...]
    """Operations on the whole image."""
    grid: Patches
    after: tuple[ImageOp, ...] = ()
    """Operations on each patch."""

    def __post_init__(self) -> None:
        """Refuse operations that may move pixels in an unknown way.

        Raises:
            QueryError: A function of one's own comes before the cut, or an operation that does not say where its
                pixels lie.
        """
        for op in self.before:
            if not knows_positions(op):
                given = "your own function" if isinstance(op, Function) else repr(name_of(op))
                raise QueryError(
                    f"The positions of the pixels of {given} are not known, so its images cannot be cut into patches: "
                    "store them first, .store(name).patches(...)."
                )

    def _applied(self, op: ImageOp) -> PatchQuery:
        return PatchQuery(self.query, self.before, self.grid, (*self.after, op))

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - there are none
        """Not available, because they are not stored.

        Raises:
            QueryError: Always.
        """
        raise not_stored()

    def count(self) -> int:
        """The number of patches."""
        return len(self._cutting)

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[DerivedImage]:
        """Iterate over the patches. Some are computed ahead."""
        for start in range(0, len(self), _AT_ONCE):
            yield from self._images(np.arange(start, min(start + _AT_ONCE, len(self))))

    def __getitem__(self, item: int) -> DerivedImage:
        """One patch."""
        return self._images(np.array([range(len(self))[item]]))[0]

    def sheet(self, *, title: str | None = None, scale: Scaling = "sheet") -> ContactSheet:
        """A contact sheet of the patches, with their positions; see `Query.sheet`."""
        if not len(self):
            raise QueryError(f"{self!r} has no patch, so there is nothing to show.")
        shown = np.arange(min(MOST, len(self)))
        labels, ids = self._of_rows("label", shown), self._of_rows("id", shown)
        tiles = [
            Tile(image, id_, truth=label, note=f"row {row}, column {column}")
            for image, id_, label, (row, column) in zip(
                self._pixels(shown), ids, labels, self._cutting.places[shown].tolist(), strict=True
            )
        ]
        return contact_sheet(
            tiles, title=f"{self._outline()}: {len(self):,} patches" if title is None else title, scale=scale
        )

    def show(self, **how: Any) -> None:
        """Display the contact sheet; for the options see `sheet`."""
        self.sheet(**how).show()

    def save(self, path: str | Path, **how: Any) -> Path:
        """Write the contact sheet as .png, .pdf, .svg or .jpg; for the options see `sheet`."""
        return self.sheet(**how).save(path)

    def store(self, name: str, *, metadata: Sequence[str] | None = None, progress: bool = True) -> Query:
        """Store them as images ``PARENT_ID#name/ROW-COLUMN``, and return a query of them in this order.

        Each is DERIVED_FROM its image, with its box in the parameters, and has the root of that image. It inherits
        label and metadata. If you call it again with the same parameters, it returns the stored patches. If it is
        interrupted, call it again: it continues.

        Args:
            name: The part of the ids after the #.
            metadata: The metadata that they inherit; all by default.
            progress: Show a progress bar.

        Raises:
            ConflictError: The name is used by images that were made in another way.
            OdinError: An operation cannot handle an image. The message names it.
        """
        done = self.derive(name, metadata=metadata, progress=progress)
        return type(self.query)(self.query.address, Plan(Keys(tuple(done.keys.tolist()))))

    def derive(self, name: str, *, metadata: Sequence[str] | None = None, progress: bool = True) -> DeriveReport:
        """The same as `store`, with a report: what was computed, found, and deleted since."""
        parents = parents_of(self.query, metadata)
        return store_patches(self._stores, parents, self._cutting, self.after, name, progress=progress)

    def __repr__(self) -> str:
        return f"PatchQuery({self._outline()})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("query", "before", "grid", "after")}

    @property
    def _session(self) -> Session:
        return self.query._session  # noqa: SLF001 - of one package

    @property
    def _stores(self) -> Stores:
        return self.query._stores  # noqa: SLF001 - of one package

    @cached_property
    def _table(self) -> pa.Table:
        return self.query.to_arrow("id", "label", "height", "width")

    @cached_property
    def _cutting(self) -> Cutting:
        table = self._table
        sizes = [table.column(name).to_pylist() for name in ("id", "height", "width")]
        return Cutting.of(self.before, self.grid, list(zip(*sizes, strict=True)))

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        keys: NDArray[np.int64] = self._table.column("key").to_numpy()[self._cutting.parents]
        return keys

    def _outline(self) -> str:
        steps = [*map(step_of, self.before), {"op": f"patches{self.grid.shape}"}, *map(step_of, self.after)]
        return repr(self.query).removeprefix("Query(").removesuffix(")") + "".join(f".{step['op']}" for step in steps)

    def _of_rows(self, name: str, at: NDArray[np.int64]) -> list[Any]:
        return list(self._table.column(name).take(pa.array(self._cutting.parents[at])).to_pylist())

    def _pixels(self, at: NDArray[np.int64]) -> list[NDArray[Any]]:
        pixels = self._cutting.read(self.query._session.pixels, self._keys, at)  # noqa: SLF001 - of one package
        return apply(Budget.of_machine().threads, self.after, self._of_rows("id", at), pixels)

    def _images(self, at: NDArray[np.int64]) -> list[DerivedImage]:
        parents = {image.key: image for image in self.query._images_of(np.unique(self._keys[at]))}  # noqa: SLF001
        return [
            DerivedImage(parents[int(self._keys[place])], pixels, f"/{row}-{column}")
            for place, pixels, (row, column) in zip(
                at.tolist(), self._pixels(at), self._cutting.places[at].tolist(), strict=True
            )
        ]

    # Out to training

    def _columns(self, *names: str) -> pa.Table:
        table = self.query.to_arrow(*names)
        return table.take(pa.array(self._cutting.parents))

    def _reader(self, table: pa.Table) -> Read:  # noqa: ARG002 - it has a row a patch, in this order
        return self._pixels

    def _operations(self) -> tuple[ImageOp, ...]:
        return self.after

    def _cut(self) -> Cutting | None:
        return self._cutting


def not_stored() -> QueryError:
    """The error of calls that take stored images, and get these."""
    return QueryError("Images that operations make are not stored: store them first, as in query.store(name).")
