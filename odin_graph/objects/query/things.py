"""Queries of things that are not images: ``db.experiments.where(F("lr") < 1e-3)``, ``db.checkpoints()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from odin_graph.address import Address, Remote
from odin_graph.client import session_at
from odin_graph.errors import PositionError, QueryError
from odin_graph.objects.base.calling import map_things
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.base.readable import readable
from odin_graph.objects.query.query_verbs import QueryVerbs
from odin_graph.objects.query.row_steps import ImageSteps, RowSteps
from odin_graph.query.plan import wire
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.using import Using

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class ThingQuery(RowSteps, QueryVerbs, Generic[T]):
    """Selected and ordered models, experiments, data sets and so on. Immutable, lazy, and can be pickled."""

    @property
    def kind(self) -> str:
        """The label of the things."""
        return self.plan.kind

    def using(self, images: ImageSteps | HasImages, *, role: str | None = None) -> Self:
        """Keep those whose data sets contain any of the images, for example experiments trained on images of a patient.

        For experiments, their models and their checkpoints, these are the data sets that the experiment used. For
        prediction sets, it is the predicted data set. For data sets, it is the data set itself.

        Args:
            images: A query of images, or a data set.
            role: Only data sets that were used in this role: ``"train"``.
        """
        images = images.images() if isinstance(images, HasImages) else images
        if getattr(images, "address", None) != self.address:
            raise QueryError(f"using() takes a query of images of the same workspace, not {images!r:.80}.")
        return self._then(Using(images.plan, role))

    def map(self, function: Callable[[T], Any], name: str | None = None) -> pd.Series:
        """Call a function of your own on them, and return its values by id. With a name they are stored as metadata.

        Args:
            function: It is called with one thing.
            name: The name of the metadata.

        Raises:
            DataError: The function failed. The message names the thing.
            MetadataError: The values cannot be metadata, or do not have the type of the field.
        """
        ids = self.ids()
        return map_things(self._session, self.kind, ids, list(map(self._one, ids)), function, name)

    def __iter__(self) -> Iterator[T]:
        return map(self._one, self.ids())

    @overload
    def __getitem__(self, item: int) -> T: ...
    @overload
    def __getitem__(self, item: slice) -> Self: ...
    def __getitem__(self, item: int | slice) -> T | Self:
        if isinstance(item, slice):
            return self._then(Slice.of(item))
        found = self._then(Slice.of(item)).ids()
        if not found:
            raise PositionError(f"There is no {self.kind} at position {item}: the query has {self.count():,}.")
        return self._one(found[0])

    @classmethod
    def from_json(cls, address: Address | Remote, data: Any) -> ThingQuery[Any]:
        """Build a query from its JSON form; see `Query.from_json`."""
        plan = session_at(address).executor().check(wire.from_json(data))
        if plan.kind == "Image" or plan.grouped:
            raise QueryError("The query is of images or groups: Query.from_json or Groups.from_json reads it.")
        return cls(address, plan)

    def _repr_html_(self) -> str:
        frame = self.to_pandas()
        if not any(isinstance(step, Select) for step in self.plan.steps):  # who selects columns wants them
            frame = readable(frame, self.kind)
        return str(frame.to_html(index=False, na_rep="", border=0))

    def _one(self, id_: str) -> T:
        thing: T = class_of(self.kind)(self._session, id_)
        return thing
