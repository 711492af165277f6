"""The recorded types of free metadata: one for each kind and name, written in the same transaction as the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from odin_graph.graph import Graph, Transaction
from odin_graph.graph.kinds import kinds_of
from odin_graph.graph.writer import quoted
from odin_graph.schema import metadata
from odin_graph.schema.kinds import Kind, undeleted
from odin_graph.schema.metadata import FieldType, forget_unused, list_types, record_types, unchanged
from odin_graph.schema.reserved import check_name


def recorded_types(graph: Graph, kind: str) -> dict[str, FieldType]:
    """The recorded types of free metadata and of the label, by name."""
    rows = graph.read("MATCH (f:Field {kind: $kind}) RETURN f.name AS name, f.type AS type", {"kind": kind})
    return {row["name"]: FieldType(row["type"]) for row in rows}


def counted(graph: Graph) -> list[tuple[str, str, str, int]]:
    """Every field that has values: kind, name, type, and the number of things with a value."""
    fields: list[tuple[str, str, str, int]] = []
    for kind in (label for label, each in kinds_of(graph).items() if each.metadata):
        types = recorded_types(graph, kind)
        if not types:
            continue
        counts = ", ".join(f"count(n.{quoted(name)}) AS c{position}" for position, name in enumerate(types))
        (row,) = graph.read(f"MATCH (n:{kind}) WHERE {undeleted()} RETURN {counts}")
        rows = [(kind, name, type_.value, row[f"c{position}"]) for position, (name, type_) in enumerate(types.items())]
        fields += sorted(row for row in rows if row[-1])
    return fields


@dataclass(frozen=True)
class NewValues:
    """Metadata columns to be stored: checked and typed, but not yet compared with the recorded types."""

    kind: str
    """The kind of the things: ``Image``, ``Dataset``, ``Model``, ``Experiment``."""
    columns: Mapping[str, Sequence[Any]]
    types: Mapping[str, FieldType]
    empty: tuple[str, ...] = ()
    """Columns of only empty lists, which have no type of their own: they take the recorded one."""
    given: bool = True
    """Whether there were columns, even of only missing values, which remove values."""

    @classmethod
    def of(
        cls,
        kind: str | Kind,
        columns: Mapping[str, Sequence[Any]],
        *,
        own: Sequence[str] = (),
        known: Mapping[str, FieldType] | None = None,
    ) -> NewValues:
        """Check names and find the types. A column of only missing values is left out.

        Args:
            kind: The kind of the things, or the label of one of ours.
            columns: The values by name; None and NaN are missing.
            own: Reserved names without a fixed type, such as ``label``.
            known: Types from the rest of the call, for parts of it that contain only empty lists.

        Raises:
            MetadataError: A reserved name, values of different types, or a number that a float cannot represent.
        """
        for name in columns:
            if name not in own:
                check_name(kind, name)
        kind = kind.label if isinstance(kind, Kind) else kind
        classified = {name: metadata.classify(values, f"{kind}.{name}") for name, values in columns.items()}
        empty = [
            name for name, type_ in classified.items() if type_ is None and any(_is_empty(v) for v in columns[name])
        ]
        classified |= {name: known[name] for name in empty if known and name in known}
        types = {name: type_ for name, type_ in classified.items() if type_ is not None}
        for name in (name for name, type_ in types.items() if type_.scalar is FieldType.FLOAT):
            if metadata.plain_type(columns[name]) is FieldType.FLOAT:
                continue
            for value in columns[name]:
                metadata.encode(value, types[name], f"{kind}.{name}")
        untyped = tuple(name for name in empty if name not in types)
        return cls(kind, {name: columns[name] for name in (*types, *untyped)}, types, untyped, bool(columns))

    def part(self, rows: slice) -> NewValues:
        """The values of a part of the nodes."""
        return replace(self, columns={name: values[rows] for name, values in self.columns.items()})

    def record(self, tx: Transaction, number: int = 1) -> list[dict[str, Any]]:
        """As `record_columns`, but the properties of each of so many nodes; missing values are left out."""
        columns = self.record_columns(tx)
        return [
            {name: values[row] for name, values in columns.items() if values[row] is not None} for row in range(number)
        ]

    def record_columns(self, tx: Transaction) -> dict[str, list[Any]]:
        """Record the types in the transaction that writes the values.

        A field without values is forgotten, and takes the new type. If a type is changed before the transaction ends,
        the transaction is run again.

        Returns:
            The properties by name, in the recorded types; None where a value is missing.

        Raises:
            MetadataError: A type that conflicts with the recorded one, or empty lists if no list type is recorded.
        """
        forget_unused(tx.run, self.kind, self.types)
        recorded = record_types(tx.run, self.kind, self.types) | list_types(tx.run, self.kind, self.empty)
        if self.given:
            tx.require(partial(unchanged, tx.run, self.kind, recorded))
        return {name: _stored(values, recorded[name], f"{self.kind}.{name}") for name, values in self.columns.items()}


def _stored(values: Sequence[Any], type_: FieldType, name: str) -> list[Any]:
    if metadata.plain_type(values) is not type_:
        return [metadata.encode(value, type_, name) for value in values]
    if type_ is FieldType.FLOAT:
        return [value if value == value else None for value in values]  # NaN is missing
    return list(values)


def _is_empty(value: Any) -> bool:
    return value is not None and not isinstance(value, str) and metadata.plain(value) == []
