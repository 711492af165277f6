"""`Query`: what ``db.images(...)`` returns. Immutable: every step gives a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.address import Address
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.errors import QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.query.answers import ImageAnswers
from odin_graph.objects.query.derived import DerivedQuery
from odin_graph.objects.query.image_verbs import QueryVerbs
from odin_graph.objects.query.mapping import map_groups, map_images
from odin_graph.objects.query.operations import Operations
from odin_graph.objects.query.patches import PatchQuery
from odin_graph.objects.query.pixels_out import Read
from odin_graph.objects.query.training import Training
from odin_graph.ops import Patches
from odin_graph.query.executor import Executor, Held, LocalExecutor
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import Plan
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.things.image import Image
    from odin_graph.ops import ImageOp


@dataclass(frozen=True, eq=False, repr=False)
class Query(ImageAnswers["Image"], QueryVerbs, Operations["DerivedQuery"], Training):
    """Images, selected and ordered. Nothing runs before an answer is asked for.

    Holds a workspace's address and a plan, never a connection: it pickles, and runs in another process.
    """

    address: Address
    _answer: Held = field(default_factory=Held, init=False)
    """`len`, `explain` and a loop ask the same thing."""

    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: None = None,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series: ...
    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: str,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query: ...
    def map(
        self,
        function: Callable[[Any], Any],
        name: str | None = None,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query:
        """Run a function of your own over the images, on all cores, and give its values by image id.

        With a name, values are stored as metadata of that name, and pixels, (h, w) or (h, w, bands), as images
        ``PARENT_ID#name`` that are DERIVED_FROM theirs, with the digest of the function's source; their query is what
        comes back then. A function of pixels alone is an operation, and lazy: ``query.apply(function)``.

        Args:
            function: Takes an `Image`; with ``by``, the list of images of a group.
            name: Of the metadata, or of the images.
            by: A field. The function is called once for each of its values, and with a name every image of the group
                gets what it says.
            processes: Run it in so many processes: a function in pure Python takes one core on threads, however many.
            progress: Show a bar.

        Raises:
            DataError: The function failed; names the image or group.
            MetadataError: The values are no metadata, or of another type than is recorded.
        """
        if by is not None:
            return map_groups(self, function, name, by, progress)
        return map_images(self, function, name, processes, progress)

    @classmethod
    def from_json(cls, address: Address, data: Any) -> Query:
        """The query of a JSON object, checked against the workspace as if it were written here."""
        if isinstance(data, dict) and "operations" in data:
            raise QueryError("The query has operations: DerivedQuery.from_json reads it.")
        plan = LocalExecutor(Stores.at(address)).check(wire.from_json(data))
        if plan.grouped:
            raise QueryError("The rows of the query are groups: Groups.from_json reads it.")
        if plan.kind != "Image":
            raise QueryError(f"The query is of {plan.kind}s: ThingQuery.from_json reads it.")
        return cls(address, plan)

    def patches(
        self,
        size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        *,
        edge: Literal["drop", "shift", "pad"] = "drop",
        value: float = 0,
    ) -> PatchQuery:
        """Patches of each image, lazy as every operation; see `odin_graph.ops.Patches`.

        Of a huge image nothing but the patches is read. ``query.resize(512).patches(128).to_grayscale()`` has
        operations on both sides.
        """
        return PatchQuery(self, (), Patches(size, stride, edge, value))

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - none of its images is
        """The keys of the images that it stands for, wherever images are taken."""
        return self.keys()

    def _columns(self, *names: str) -> pa.Table:
        return self.to_arrow(*names)

    def _reader(self, table: pa.Table) -> Read:
        keys, array = table.column("key").to_numpy(), self._stores.columns.array(ARRAY)
        return lambda at: array.read_list(keys[at])

    def _operations(self) -> tuple[ImageOp, ...]:
        return ()

    def __getstate__(self) -> tuple[Address, Plan]:
        return self.address, self.plan

    def __setstate__(self, state: tuple[Address, Plan]) -> None:
        for name, value in zip(("address", "plan", "_answer"), (*state, Held()), strict=True):
            object.__setattr__(self, name, value)

    @property
    def _executor(self) -> Executor:
        return LocalExecutor(self._stores, self._answer)

    def _applied(self, op: ImageOp) -> DerivedQuery:
        return DerivedQuery(self, (op,))

    def _ran(self) -> bool:
        return self._answer.at(self._stores.graph.change_token()) is not None

    def _images_of(self, keys: NDArray[np.int64]) -> Iterator[Image]:
        images: Iterator[Image] = class_of("Image").of_keys(self._stores, keys)
        return images

    def _displayed(self, table: pa.Table) -> list[NDArray[Any]]:
        return self._stores.columns.array(ARRAY).read_displayed(table.column("key").to_numpy())
