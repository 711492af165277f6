"""Things that were selected: a list that can be updated, deleted and shown as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.catalog.records import deletion
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.updates import UpdateReport, constant, update_metadata
from odin_graph.client import Session
from odin_graph.objects.base.calling import map_things
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.readable import readable
from odin_graph.query.names.kinds import KINDS, fields_of, read_things
from odin_graph.query.plan.plan import ThingKind
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Selection(InSession, Generic[T]):
    """Selected things, in order: a list that can be updated, deleted and shown as a table."""

    _session: Session
    kind: str
    ids: tuple[str, ...]
    _of: Callable[[str], T] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[T]:
        return map(self._of, self.ids)

    @overload
    def __getitem__(self, item: int) -> T: ...
    @overload
    def __getitem__(self, item: slice) -> Selection[T]: ...
    def __getitem__(self, item: int | slice) -> T | Selection[T]:
        if isinstance(item, slice):
            return Selection(self._session, self.kind, self.ids[item], self._of)
        return self._of(self.ids[item])

    def to_pandas(self) -> pd.DataFrame:
        """One row for each thing: the fields of the kind, and the metadata that any of them has."""
        frame: pd.DataFrame = self._session.ask(rows_of_things, self.kind, list(self.ids)).to_pandas()  # type: ignore[arg-type]
        own = KINDS[self.kind].own
        return frame[[name for name in frame.columns if name in own or frame[name].notna().any()]]

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> UpdateReport:
        """Set the same metadata on all of them, in one transaction. None removes a field."""
        fields = {**(values or {}), **metadata}
        columns = {name: constant(value, len(self)) for name, value in fields.items()}
        return update_metadata(self._stores, self.kind, self.ids, columns, missing="remove")

    def map(self, function: Callable[[T], Any], name: str | None = None) -> pd.Series:
        """Call a function of your own on them, and return its values by id. With a name they are stored as metadata.

        Raises:
            DataError: The function failed. The message names the thing.
            MetadataError: The values cannot be metadata, or do not have the type of the field.
        """
        return map_things(self._stores, self.kind, self.ids, list(self), function, name)

    def delete(self, *, why: str | None = None, who: str | None = None, force: bool = False) -> DeletionReport:
        """Delete all of them, in one transaction. Refused if something frozen uses one, unless forced."""
        return deletion.delete(self._stores, self.kind, self.ids, why=why, who=who, force=force)

    def __repr__(self) -> str:
        return f"{len(self)} {self.kind}: {', '.join(self.ids) or 'none'}"

    def _repr_html_(self) -> str:
        return (
            str(readable(self.to_pandas(), self.kind).to_html(index=False, na_rep=""))
            if self.ids
            else f"<i>no {escape(self.kind)}</i>"
        )


@served
def rows_of_things(stores: Stores, kind: ThingKind, ids: list[str]) -> pa.Table:
    """Every field of things that are there, in the order of their ids."""
    at = stores.graph.moment()
    table = read_things(at, kind, list(fields_of(at, kind))).drop_columns(["key"])
    places = pc.index_in(pa.array(ids, pa.string()), table.column("id").combine_chunks())
    return table.take(places.drop_null())
