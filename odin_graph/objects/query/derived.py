"""`DerivedQuery`: the images of a query after operations. Nothing is stored before `store`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.address import Address, Remote
from odin_graph.analysis.contact_sheet import MOST, ContactSheet, Scaling, Tile, contact_sheet, images_shown
from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.config import Budget
from odin_graph.errors import DataError, QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.query.derived_image import DerivedImage
from odin_graph.objects.query.mapping import parents_of
from odin_graph.objects.query.operations import Operations, read_operations
from odin_graph.objects.query.patches import PatchQuery, not_stored
from odin_graph.objects.query.pixels_out import Read
from odin_graph.objects.query.training import Training
from odin_graph.ops import Patches
from odin_graph.ops.op import ImageOp
from odin_graph.query.expressions.expressions import Expr, NamesUnits
from odin_graph.query.expressions.nodes import SortKey
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.runtime.derive.derive import apply, derive, step_of
from odin_graph.runtime.derive.function import Function, name_of_function
from odin_graph.runtime.derive.storing import DeriveReport
from odin_graph.runtime.pixels.cropping import cuts, read_cut
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query

_AT_ONCE = 64
"""Images whose pixels are computed together while iterating."""


@checked_calls
@dataclass(frozen=True, eq=False, repr=False)
class DerivedQuery(Operations["DerivedQuery"], Training):
    """The images of a query after operations. Immutable, lazy, and can be pickled."""

    query: Query
    ops: tuple[ImageOp, ...]

    def _applied(self, op: ImageOp) -> DerivedQuery:
        return DerivedQuery(self.query, (*self.ops, op))

    def patches(
        self,
        size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        *,
        edge: Literal["drop", "shift", "pad"] = "drop",
        fill: float = 0,
    ) -> PatchQuery:
        """Patches of the results; see `Query.patches`."""
        return PatchQuery(self.query, self.ops, Patches(size, stride, edge, fill))

    # Which images: steps of the parents, whose label and metadata the derived images have

    def where(self, /, *conditions: Expr, **equal: Any) -> DerivedQuery:
        """Keep the results of images for which every condition is true; see `Query.where`."""
        return DerivedQuery(self.query.where(*conditions, **equal), self.ops)

    def order_by(self, *keys: Expr | SortKey | NamesUnits) -> DerivedQuery:
        """Sort by fields of the parents."""
        return DerivedQuery(self.query.order_by(*keys), self.ops)

    def limit(self, k: int) -> DerivedQuery:
        """Keep the first k images."""
        return DerivedQuery(self.query.limit(k), self.ops)

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - there are none
        """Not available, because they are not stored.

        Raises:
            QueryError: Always.
        """
        raise not_stored()

    def count(self) -> int:
        """The number of images."""
        return self.query.count()

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[DerivedImage]:
        """Iterate in the order of the query. Some images are computed ahead."""
        keys = self.query.keys()
        for start in range(0, len(keys), _AT_ONCE):
            parents = list(self.query._images_of(keys[start : start + _AT_ONCE]))  # noqa: SLF001 - of one package
            pixels = self._read(keys[start : start + _AT_ONCE], [parent.id for parent in parents])
            for parent, image in zip(parents, pixels, strict=True):
                yield DerivedImage(parent, image, self._made())

    @overload
    def __getitem__(self, item: int) -> DerivedImage: ...
    @overload
    def __getitem__(self, item: slice) -> DerivedQuery: ...
    def __getitem__(self, item: int | slice) -> DerivedImage | DerivedQuery:
        if isinstance(item, slice):
            return DerivedQuery(self.query[item], self.ops)
        parent = self.query[item]
        (pixels,) = self._read(np.array([parent.key], np.int64), [parent.id])
        return DerivedImage(parent, pixels, self._made())

    # Looked at and trained on as it is

    def sheet(self, *, title: str | None = None, scale: Scaling = "sheet") -> ContactSheet:
        """A contact sheet of the derived images, with the labels of their parents; see `Query.sheet`."""
        table = self.query.to_arrow("id", "label")
        if not table.num_rows:
            raise QueryError(f"{self!r} selects no images, so there is nothing to show.")
        shown = table.slice(0, MOST)
        ids = shown.column("id").to_pylist()
        pixels = self._read(shown.column("key").to_numpy(), ids)
        labels = shown.column("label").to_pylist()
        tiles = [Tile(image, id_, truth=label) for image, id_, label in zip(pixels, ids, labels, strict=True)]
        title = f"{self._outline()}: {images_shown(table.num_rows)}" if title is None else title
        return contact_sheet(tiles, title=title, scale=scale)

    def show(self, **how: Any) -> None:
        """Display the contact sheet; for the options see `sheet`."""
        self.sheet(**how).show()

    def save(self, path: str | Path, **how: Any) -> Path:
        """Write the contact sheet as .png, .pdf, .svg or .jpg; for the options see `sheet`."""
        return self.sheet(**how).save(path)

    # Stored

    def store(
        self, name: str, *, metadata: Sequence[str] | None = None, workers: int = 0, progress: bool = True
    ) -> Query:
        """Store them as images ``PARENT_ID#name``, on all cores, and return a query of them in this order.

        Each is DERIVED_FROM its parent, with the operation, its parameters and the version of its code. It has the root
        of its parent. It inherits the label (the frozen label if the query is of a data set). If you call it again with
        the same parameters, it returns the stored images. If it is interrupted, call it again: it continues.

        Args:
            name: The part of the ids after the #.
            metadata: The metadata that they inherit; all by default.
            workers: The number of processes, for your own functions in pure Python; by default threads are used.
            progress: Show a progress bar.

        Raises:
            ConflictError: The name is used by images that were made in another way.
            OdinError: An operation cannot handle an image. The message names it. Images stored before stay stored.
        """
        done = self.derive(name, metadata=metadata, workers=workers, progress=progress)
        return type(self.query)(self.query.address, Plan(Keys(tuple(done.keys.tolist()))))

    def derive(
        self, name: str, *, metadata: Sequence[str] | None = None, workers: int = 0, progress: bool = True
    ) -> DeriveReport:
        """The same as `store`, with a report: what was computed, found, and deleted since."""
        parents = parents_of(self.query, metadata)
        return derive(self._stores, parents, self.ops, name, workers=workers, progress=progress)

    # Elsewhere

    def to_json(self) -> dict[str, Any]:
        """The JSON form of the query, with the operations.

        Raises:
            DataError: One of the operations is a function of your own.
        """
        for op in self.ops:
            if isinstance(op, Function):
                raise DataError(
                    f"{name_of_function(op.call)} is a function, which has no JSON form: register it as an image "
                    "operation, or store the images first."
                )
        return {**self.query.to_json(), "operations": [step_of(op) for op in self.ops]}

    @classmethod
    def from_json(cls, address: Address | Remote, data: Any) -> DerivedQuery:
        """Build a derived query from its JSON form; see `Query.from_json`."""
        if not isinstance(data, dict) or not isinstance(data.get("operations"), list):
            raise QueryError(
                'This is not a query with operations: it has no list "operations". Query.from_json reads it.'
            )
        body = {name: value for name, value in data.items() if name != "operations"}
        return cls(class_of("Query").from_json(address, body), read_operations(data["operations"]))

    def __repr__(self) -> str:
        return f"DerivedQuery({self._outline()})"

    @property
    def _session(self) -> Session:
        return self.query._session  # noqa: SLF001 - of one package

    @property
    def _stores(self) -> Stores:
        return self.query._stores  # noqa: SLF001 - of one package

    def _outline(self) -> str:
        return repr(self.query).removeprefix("Query(").removesuffix(")") + self._made()

    def _columns(self, *names: str) -> pa.Table:
        return self.query.to_arrow(*names)

    def _reader(self, table: pa.Table) -> Read:
        keys, ids = table.column("key").to_numpy(), table.column("id").to_pylist()
        return lambda at: self._read(keys[at], [ids[place] for place in at.tolist()])

    def _operations(self) -> tuple[ImageOp, ...]:
        return self.ops

    def _made(self) -> str:
        return "".join(map(_spelt, self.ops))

    def _read(self, keys: NDArray[np.int64], ids: Sequence[str]) -> list[NDArray[Any]]:
        pixels, threads = self.query._session.pixels, Budget.of_machine().threads  # noqa: SLF001 - of one package
        if cuts(self.ops):
            return apply(threads, self.ops[1:], ids, read_cut(pixels, keys, self.ops[0], ids))
        return apply(threads, self.ops, ids, pixels.read_list(keys))


def _spelt(op: ImageOp) -> str:
    if isinstance(op, Function):
        return f".apply({name_of_function(op.call).rpartition('.')[2]})"
    step = step_of(op)
    parameters = ", ".join(f"{name}={value!r}" for name, value in step["parameters"].items())
    return f".{step['op'].replace('-', '_')}({parameters})"
