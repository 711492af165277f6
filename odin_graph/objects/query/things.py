"""Queries of things that are not images: ``db.experiments.where(F("lr") < 1e-3)``, ``db.checkpoints()``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

import pyarrow as pa

from odin_graph.address import Address, Remote
from odin_graph.client import Session, session_at
from odin_graph.deadline import deadline
from odin_graph.errors import ExpressionError, PositionError, QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.readable import readable
from odin_graph.objects.base.selection import Selection
from odin_graph.objects.query.row_steps import ImageSteps, RowSteps
from odin_graph.objects.query.steps import wanted_columns
from odin_graph.query.expressions.expressions import Expr, F
from odin_graph.query.names.kinds import KINDS
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import Plan, Things, Using
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class ThingQuery(RowSteps, Generic[T]):
    """Selected and ordered models, experiments, data sets and so on. Immutable, lazy, and can be pickled."""

    @property
    def kind(self) -> str:
        """The label of the things."""
        return self.plan.kind

    def using(self, images: ImageSteps, *, role: str | None = None) -> Self:
        """Keep those whose data sets contain any of the images, for example experiments trained on images of a patient.

        For experiments, their models and their checkpoints, these are the data sets that the experiment used. For
        prediction sets, it is the predicted data set. For data sets, it is the data set itself.

        Args:
            images: A query of images.
            role: Only data sets that were used in this role: ``"train"``.
        """
        if getattr(images, "address", None) != self.address:
            raise QueryError(f"using() takes a query of images of the same workspace, not {images!r:.80}.")
        return self._then(Using(images.plan, role))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(self.to_arrow("id").column("id").to_pylist())

    def to_arrow(self, *names: str, timeout: float | None = None, **columns: Expr) -> pa.Table:
        """The things as an Arrow table: id, the other stored fields, and the columns that steps added.

        Args:
            names: The fields to return; by default all stored fields. Computed fields (``results.f1``) must be named.
            timeout: See `count`.
            columns: More columns.
        """
        with deadline(timeout):
            return pa.Table.from_batches(self._executor.columns(self.plan, wanted_columns(names, columns)))

    def to_pandas(self, *names: str, timeout: float | None = None, **columns: Expr) -> pd.DataFrame:
        """The same as a DataFrame."""
        frame: pd.DataFrame = self.to_arrow(*names, timeout=timeout, **columns).to_pandas()
        return frame

    def __iter__(self) -> Iterator[T]:
        return map(self._one, self.ids)

    @overload
    def __getitem__(self, item: int) -> T: ...
    @overload
    def __getitem__(self, item: slice) -> Self: ...
    def __getitem__(self, item: int | slice) -> T | Self:
        if isinstance(item, slice):
            return self._then(Slice.of(item))
        found = self._then(Slice.of(item)).ids
        if not found:
            raise PositionError(f"There is no {self.kind} at position {item}: the query has {self.count():,}.")
        return self._one(found[0])

    @classmethod
    def from_json(cls, address: Address | Remote, data: Any) -> ThingQuery[Any]:
        """Build a query from its JSON form. Names and types are checked as usual."""
        plan = session_at(address).executor().check(wire.from_json(data))
        if plan.kind == "Image" or plan.grouped:
            raise QueryError("The query is of images or groups: Query.from_json or Groups.from_json reads it.")
        return cls(address, plan)

    def _repr_html_(self) -> str:
        frame = self.to_pandas()
        if not any(isinstance(step, Select) for step in self.plan.steps):  # who selects columns wants them
            frame = readable(frame, self.kind)
        return str(frame.to_html(index=False, na_rep=""))

    def _one(self, id_: str) -> T:
        thing: T = class_of(self.kind)(self._session, id_)
        return thing


class Queried(InSession):
    """Lets a collection of things be queried. The class that takes it in says the kind."""

    KIND: ClassVar[str]

    def __call__(self) -> ThingQuery[Any]:
        """All of them as a query: ``db.experiments().order_by(F("results.f1").desc())``."""
        self._settle()
        return ThingQuery(self._session.address, Plan(Things(KINDS[self.KIND].label)))  # type: ignore[arg-type]

    def where(self, *predicates: Expr) -> ThingQuery[Any]:
        """Those for which every condition is true, as a query."""
        return self().where(*predicates)

    def _settle(self) -> None:
        """Update their state in the graph."""


def select(
    session: Session, kind: str, of: Callable[[str], T], conditions: tuple[Expr, ...], equal: Mapping[str, Any]
) -> Selection[T]:
    """The things of a kind of which every condition is true.

    Args:
        session: The workspace.
        kind: Their label.
        of: The thing of an id.
        conditions: Expressions over the kind's fields: ``F("lr") < 0.01``.
        equal: Values that fields have; None for those that have none.

    Raises:
        UnknownNameError: No such field; lists those there are.
        ExpressionError: Types do not fit.
    """
    for condition in conditions:
        if not isinstance(condition, Expr):
            raise ExpressionError(f'select() takes conditions, as in F("lr") < 0.01, not {condition!r:.80}.')
    same = [F(name) == value if value is not None else F(name).is_null() for name, value in equal.items()]
    query: ThingQuery[T] = ThingQuery(session.address, Plan(Things(KINDS[kind].label)))  # type: ignore[arg-type]
    all_conditions = [*conditions, *same]
    if all_conditions:
        query = query.where(reduce(and_, all_conditions))
    return Selection(session, kind, query.ids, of)
