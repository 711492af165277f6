"""`Query`: what ``db.images(...)`` returns. Immutable: every step returns a new query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.address import Address, Remote
from odin_graph.catalog.purge.purge import PurgeReport, purge
from odin_graph.client import session_at
from odin_graph.errors import QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.query.answers import ImageAnswers
from odin_graph.objects.query.derived import DerivedQuery
from odin_graph.objects.query.mapping import map_groups, map_images
from odin_graph.objects.query.operations import Operations
from odin_graph.objects.query.patches import PatchQuery
from odin_graph.objects.query.pixels_out import Read
from odin_graph.objects.query.query_verbs import QueryVerbs
from odin_graph.objects.query.training import Training
from odin_graph.ops import Patches
from odin_graph.query.executor import CachedAnswer, Executor
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import Plan
from odin_graph.query.plan.registered_step import STEPS

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.things.image import Image
    from odin_graph.ops import ImageOp


@dataclass(frozen=True, eq=False, repr=False)
class Query(ImageAnswers["Image"], QueryVerbs, Operations["DerivedQuery"], Training):
    """Selected and ordered images. Nothing runs until you ask for an answer.

    A query contains the address of the workspace and a plan, never a connection. You can pickle it and run it in
    another process.
    """

    _answer: CachedAnswer = field(default_factory=CachedAnswer, init=False)
    """The answer, which `len`, `explain` and a loop share."""

    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: None = None,
        *,
        group_by: str | None = None,
        workers: int = 0,
        progress: bool = True,
    ) -> pd.Series: ...
    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: str,
        *,
        group_by: str | None = None,
        workers: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query: ...
    def map(
        self,
        function: Callable[[Any], Any],
        name: str | None = None,
        *,
        group_by: str | None = None,
        workers: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query:
        """Call a function of your own on the images, on all cores, and return its values by image id.

        With a name, the results are stored. Values become metadata with that name. Pixels, (h, w) or (h, w, bands),
        become images ``PARENT_ID#name`` that are DERIVED_FROM their parents, with the digest of the function's source,
        and a query of these images is returned. If a function needs only pixels, ``query.apply(function)`` makes a lazy
        operation of it.

        Args:
            function: It is called with an `Image`, or with the list of images of a group if ``group_by`` is given.
            name: The name of the metadata, or of the new images.
            group_by: A field. The function is called once for each value of the field. With a name, every image of the
                group gets the result.
            workers: The number of processes. Threads run a function in pure Python on one core only.
            progress: Show a progress bar.

        Raises:
            DataError: The function failed. The message names the image or group.
            MetadataError: The values cannot be metadata, or do not have the type of the field.
        """
        if group_by is not None:
            return map_groups(self, function, name, group_by, progress)
        return map_images(self, function, name, workers, progress)

    @classmethod
    def from_json(cls, address: Address | Remote, data: Any) -> Query:
        """Build a query from its JSON form. Names and types are checked as usual.

        Args:
            address: The address of the workspace.
            data: What `to_json` gave.

        Raises:
            QueryError: It is not a query of images, or uses something that does not exist.
        """
        if isinstance(data, dict) and "operations" in data:
            raise QueryError("The query has operations: DerivedQuery.from_json reads it.")
        plan = session_at(address).executor().check(wire.from_json(data))
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
        fill: float = 0,
    ) -> PatchQuery:
        """Cut each image into patches, lazily; see `odin_graph.ops.Patches`.

        Only the patches of a huge image are read. You can use operations before and after:
        ``query.resize(512).patches(128).to_grayscale()``.
        """
        return PatchQuery(self, (), Patches(size, stride, edge, fill))

    def purge(
        self, *, why: str | None = None, who: str | None = None, force: bool = False, dry_run: bool = False
    ) -> PurgeReport:
        """Destroy the images of the query, and everything derived or computed from them; see `Images.purge`."""
        return purge(self._stores, self.keys(), why=why, who=who, force=force, dry_run=dry_run)

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - none of its images is
        """The keys of its images, for calls that take images."""
        return self.keys()

    def _named(self) -> pa.Table:
        return self.run()

    def _columns(self, *names: str) -> pa.Table:
        return self.to_arrow(*names)

    def _reader(self, table: pa.Table) -> Read:
        keys, pixels = table.column("key").to_numpy(), self._session.pixels
        return lambda at: pixels.read_list(keys[at])

    def _operations(self) -> tuple[ImageOp, ...]:
        return ()

    if not TYPE_CHECKING:  # a type checker shall find misspelt names

        def __getattr__(self, name: str) -> Callable[..., Any]:
            """A registered step of queries by its name, else a registered image operation."""
            spelt = name.replace("_", "-")
            if not name.startswith("_") and spelt in STEPS:
                return partial(self.apply_step, spelt)
            return super().__getattr__(name)

    def __getstate__(self) -> tuple[Address | Remote, Plan]:
        return self.address, self.plan

    def __setstate__(self, state: tuple[Address | Remote, Plan]) -> None:
        for name, value in zip(("address", "plan", "_answer"), (*state, CachedAnswer()), strict=True):
            object.__setattr__(self, name, value)

    @property
    def _executor(self) -> Executor:
        return self._session.executor(self._answer)

    def _applied(self, op: ImageOp) -> DerivedQuery:
        return DerivedQuery(self, (op,))

    def _ran(self) -> bool:
        return self._executor.ran()

    def _images_of(self, keys: NDArray[np.int64]) -> Iterator[Image]:
        images: Iterator[Image] = class_of("Image").of_keys(self._session, keys)
        return images

    def _displayed(self, table: pa.Table) -> list[NDArray[Any]]:
        return self._session.pixels.read_displayed(table.column("key").to_numpy())
