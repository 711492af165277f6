"""``select`` of things that are no images: models, experiments, data sets, prediction sets, activation sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from html import escape
from operator import and_
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from odin_graph.catalog import deletion
from odin_graph.catalog.deletion import HAVE_STATE, DeletionReport
from odin_graph.catalog.updates import UpdateReport, constant, update_metadata
from odin_graph.errors import ExpressionError, QueryError, UnknownNameError
from odin_graph.graph.writer import quoted
from odin_graph.query import types
from odin_graph.query.cypher import Names, compile_expression
from odin_graph.query.expressions import Expr, F
from odin_graph.query.nodes import Field, ImageField
from odin_graph.schema.metadata import decode
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "Dataset": {
        "id": "string",
        "base": "string",
        "version": "int",
        "size": "int",
        "digest": "string",
        "label_field": "string",
        "frozen_at": "datetime",
    },
    "Volume": {"id": "string", "size": "int", "dtype": "string", "digest": "string", "created_at": "datetime"},
    "Video": {
        "id": "string",
        "size": "int",
        "fps": "float",
        "dtype": "string",
        "digest": "string",
        "created_at": "datetime",
    },
    "Model": {"id": "string", "task": "string", "parameters": "int", "digest": "string", "created_at": "datetime"},
    "Experiment": {
        "id": "string",
        "state": "string",
        "seed": "int",
        "group": "string",
        "commit": "string",
        "started_at": "datetime",
        "finished_at": "datetime",
    },
    "PredictionSet": {"id": "string", "number": "int", "rows": "int", "task": "string", "created_at": "datetime"},
    "ActivationSet": {"id": "string", "layer": "string", "pooling": "string", "created_at": "datetime"},
}
"""What can be asked for beside free metadata."""
_ORDER: Final = {"Dataset": "i.base, i.version", "Experiment": "i.started_at, i.id"}


@dataclass(frozen=True, repr=False)
class Selection(Generic[T]):
    """Things that were selected, in order: a list that can be updated, deleted and shown as a table."""

    _stores: Stores
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
            return Selection(self._stores, self.kind, self.ids[item], self._of)
        return self._of(self.ids[item])

    def to_pandas(self) -> pd.DataFrame:
        """A row a thing: what can be asked for of the kind, and the metadata that any of them has."""
        import pandas as pd

        names = {**OWN[self.kind], **known_fields(self._stores, self.kind)}
        said = ", ".join(f"i.{quoted(name)} AS {quoted(name)}" for name in names)
        rows = self._stores.graph.read(
            f"UNWIND $ids AS id MATCH (i:{self.kind} {{id: id}}) RETURN {said}", {"ids": list(self.ids)}
        )
        by_id = {row["id"]: {name: decode(value) for name, value in row.items()} for row in rows}
        frame = pd.DataFrame([by_id[id_] for id_ in self.ids if id_ in by_id], columns=list(names))
        kept = [name for name in names if name in OWN[self.kind] or frame[name].notna().any()]
        return frame[kept]

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> UpdateReport:
        """Set the same free metadata on all of them, in one transaction; None takes a field away."""
        said = {**(values or {}), **metadata}
        columns = {name: constant(value, len(self)) for name, value in said.items()}
        return update_metadata(self._stores, self.kind, self.ids, columns, missing="remove")

    def map(self, function: Callable[[T], Any], name: str | None = None) -> pd.Series:
        """Run a function of your own over them, and give its values by id; with a name they are stored as metadata.

        Raises:
            DataError: The function failed; names the thing.
            MetadataError: The values are no metadata, or of another type than is recorded.
        """
        from odin_graph.objects.mapping import map_things

        return map_things(self._stores, self.kind, self.ids, list(self), function, name)

    def delete(self, *, why: str | None = None, by: str | None = None, force: bool = False) -> DeletionReport:
        """Put tombstones on all of them, in one transaction; refused while something frozen uses one, unless forced."""
        return deletion.delete(self._stores, self.kind, self.ids, why=why, by=by, force=force)

    def __repr__(self) -> str:
        return f"{len(self)} {self.kind}: {', '.join(self.ids) or 'none'}"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False)) if self.ids else f"<i>no {escape(self.kind)}</i>"


def select(
    stores: Stores,
    kind: str,
    of: Callable[[str], T],
    conditions: tuple[Expr, ...],
    equal: Mapping[str, Any],
    *,
    only: tuple[str, Mapping[str, Any]] = ("", {}),
) -> Selection[T]:
    """The things of a kind of which every condition is true.

    Args:
        stores: The open workspace.
        kind: Their label.
        of: The thing of an id.
        conditions: Expressions over the kind's fields: ``F("lr") < 0.01``.
        equal: Values that fields have.
        only: A further condition in Cypher of ours over ``i``, and its parameters.

    Raises:
        UnknownNameError: No such field; lists those there are.
        ExpressionError: Types do not fit.
    """
    for condition in conditions:
        if not isinstance(condition, Expr):
            raise ExpressionError(f'select() takes conditions, as in F("lr") < 0.01, not {condition!r:.80}.')
    every = [
        *conditions,
        *(F(name) == value if value is not None else F(name).is_null() for name, value in equal.items()),
    ]
    names = Names()
    where = ["i.deleted IS NULL"]
    if kind in HAVE_STATE:
        where.append("i.state = 'ready'")
    if only[0]:
        where.append(only[0])
    if every:
        node = reduce(and_, every).node
        fields = {**OWN[kind], **known_fields(stores, kind)}

        def type_of(asked: Field) -> str:
            if not isinstance(asked, ImageField):
                raise QueryError(f"What was predicted of images says nothing of a {kind}: give its own fields.")
            if asked.name not in fields:
                raise UnknownNameError.of(f"field of {kind}", asked.name, fields)
            return fields[asked.name]

        types.check_predicate(node, type_of)
        where.append(compile_expression(node, names))
    order = _ORDER.get(kind, "i.created_at, i.id")
    rows = stores.graph.read(
        f"MATCH (i:{kind}) WHERE {' AND '.join(where)} RETURN i.id AS id ORDER BY {order}",
        {**names.parameters, **only[1]},
    )
    return Selection(stores, kind, tuple(str(row["id"]) for row in rows), of)


def known_fields(stores: Stores, kind: str) -> dict[str, str]:
    """The free metadata of a kind with its types."""
    return {name: str(type_) for name, type_ in stores.columns.fields(kind).items() if name != "id"}
