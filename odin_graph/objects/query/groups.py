"""`Groups`: what ``query.group_by(...).agg(...)`` returns. Immutable, lazy, and can be pickled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import pyarrow as pa

from odin_graph.address import Address, Remote
from odin_graph.checked import checked_calls
from odin_graph.client import session_at
from odin_graph.deadline import deadline
from odin_graph.errors import PositionError, QueryError
from odin_graph.frames import frame_of
from odin_graph.objects.query.steps import Steps, columns_of
from odin_graph.query.expressions.expressions import Expr, count
from odin_graph.query.plan import wire
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.slice import Slice

if TYPE_CHECKING:
    import pandas as pd


@checked_calls
@dataclass(frozen=True, repr=False)
class Grouping:
    """A query and its groups: `agg` computes values for each group."""

    query: Steps
    keys: tuple[Any, ...]
    named: dict[str, Expr]

    def agg(self, **aggregates: Expr) -> Groups:
        """The groups with these columns: ``agg(n=og.count(), share=exp.wrong.mean(), oldest=F("age").max())``.

        An expression may contain aggregates, constants, and the fields that the groups are made by. Aggregates leave
        out missing values. An aggregate over no values is missing. As a group, missing values are a group of their own.

        Raises:
            ExpressionError: A field is used outside an aggregate.
        """
        step = GroupBy(columns_of(self.keys, self.named), columns_of((), aggregates))
        plan = self.query.plan
        return Groups(self.query.address, plan.then(self.query._executor.bind(plan, step)))  # noqa: SLF001

    def count(self) -> Groups:
        """Count the images of each group, in the column ``n``."""
        return self.agg(n=count())

    def __repr__(self) -> str:
        return f"{self.query!r}.group_by(...): .agg(n=og.count()) counts each group"


@dataclass(frozen=True, eq=False, repr=False)
class Groups(Steps):
    """Groups of images, one row for each, sorted by the fields that the groups are made by."""

    def to_arrow(self, *, timeout: float | None = None) -> pa.Table:
        """One row for each group: its fields and its aggregates; for ``timeout`` see `count`."""
        with deadline(timeout):
            return pa.Table.from_batches(self._executor.execute(self.plan))

    def to_pandas(self, *, timeout: float | None = None) -> pd.DataFrame:
        """The same as `to_arrow`, as a DataFrame."""
        return frame_of(self.to_arrow(timeout=timeout))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_arrow().to_pylist())

    @overload
    def __getitem__(self, item: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, item: slice) -> Groups: ...
    def __getitem__(self, item: int | slice) -> dict[str, Any] | Groups:
        if isinstance(item, slice):
            return self._then(Slice.of(item))
        rows = list(self._then(Slice.of(item)))
        if not rows:
            raise PositionError(f"There is no group at position {item}: there are {self.count():,}.")
        return rows[0]

    @classmethod
    def from_json(cls, address: Address | Remote, data: Any) -> Groups:
        """Build groups from their JSON form; see `Query.from_json`."""
        plan = session_at(address).executor().check(wire.from_json(data))
        if not plan.grouped:
            raise QueryError("The query is of images: Query.from_json reads it.")
        return cls(address, plan)

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))
