"""The recorded types of free metadata: one type a name and kind, written with the values it is the type of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from odin_graph.graph import Graph, Transaction
from odin_graph.graph.writer import quoted
from odin_graph.schema import metadata
from odin_graph.schema.kinds import DESCRIBED
from odin_graph.schema.metadata import FieldType, forget_unused, list_types, record_types, unchanged
from odin_graph.schema.reserved import check_name


def recorded_types(graph: Graph, kind: str) -> dict[str, FieldType]:
    """The recorded types of free metadata and of the label, by name."""
    rows = graph.read("MATCH (f:Field {kind: $kind}) RETURN f.name AS name, f.type AS type", {"kind": kind})
    return {row["name"]: FieldType(row["type"]) for row in rows}


def counted(graph: Graph) -> list[tuple[str, str, str, int]]:
    """Every field that something has a value of: kind, name, type, and how many things have one."""
    found: list[tuple[str, str, str, int]] = []
    for kind in DESCRIBED:
        types = recorded_types(graph, kind)
        if not types:
            continue
        counts = ", ".join(f"count(n.{quoted(name)}) AS c{place}" for place, name in enumerate(types))
        (row,) = graph.read(f"MATCH (n:{kind}) WHERE n.deleted IS NULL RETURN {counts}")
        here = [(kind, name, type_.value, row[f"c{place}"]) for place, (name, type_) in enumerate(types.items())]
        found += sorted(row for row in here if row[-1])
    return found


@dataclass(frozen=True)
class NewValues:
    """Metadata columns on their way in: checked, typed, and not yet compared with what is recorded."""

    kind: str
    """What carries them: ``Image``, ``Dataset``, ``Model``, ``Experiment``."""
    columns: Mapping[str, Sequence[Any]]
    types: Mapping[str, FieldType]
    empty: tuple[str, ...] = ()
    """Columns of empty lists alone, which say nothing of their type: the recorded one holds them."""
    given: bool = True
    """Whether there were columns, be it of missing values alone, which take values away."""

    @classmethod
    def of(
        cls,
        kind: str,
        columns: Mapping[str, Sequence[Any]],
        *,
        own: Sequence[str] = (),
        known: Mapping[str, FieldType] | None = None,
    ) -> NewValues:
        """Check names and find the types. A column of nothing but missing values is left out.

        Args:
            kind: What carries them.
            columns: The values by name; None and NaN are missing.
            own: Names of ours that have no fixed type, such as ``label``.
            known: Types that the rest of a call has: a part of it may hold empty lists alone.

        Raises:
            MetadataError: A name that is ours, values that no single type holds, or one that a float would cut.
        """
        for name in columns:
            if name not in own:
                check_name(kind, name)
        found = {name: metadata.classify(values, f"{kind}.{name}") for name, values in columns.items()}
        empty = [name for name, type_ in found.items() if type_ is None and any(_is_empty(v) for v in columns[name])]
        found |= {name: known[name] for name in empty if known and name in known}
        types = {name: type_ for name, type_ in found.items() if type_ is not None}
        for name in (name for name, type_ in types.items() if type_.scalar is FieldType.FLOAT):
            if metadata.plain_type(columns[name]) is FieldType.FLOAT:
                continue
            for value in columns[name]:
                metadata.encode(value, types[name], f"{kind}.{name}")
        untyped = tuple(name for name in empty if name not in types)
        return cls(kind, {name: columns[name] for name in (*types, *untyped)}, types, untyped, bool(columns))

    def part(self, rows: slice) -> NewValues:
        """The values of some of the nodes."""
        return replace(self, columns={name: values[rows] for name, values in self.columns.items()})

    def record(self, tx: Transaction, number: int = 1) -> list[dict[str, Any]]:
        """Record the types in the transaction that writes the values.

        A field that nothing has a value of any more is forgotten, and takes the type that comes. Where a type is
        changed before the transaction ends, the transaction is run again.

        Args:
            tx: That transaction.
            number: How many nodes there are.

        Returns:
            For each node its properties, of the recorded types; what is missing is left out.

        Raises:
            MetadataError: A type that clashes with the recorded one, or empty lists where no list is recorded.
        """
        forget_unused(tx.run, self.kind, self.types)
        recorded = record_types(tx.run, self.kind, self.types) | list_types(tx.run, self.kind, self.empty)
        if self.given:
            tx.require(partial(unchanged, tx.run, self.kind, recorded))
        rows: list[dict[str, Any]] = [{} for _ in range(number)]
        for name, values in self.columns.items():
            if metadata.plain_type(values) is recorded[name]:
                for row, value in zip(rows, values, strict=True):
                    if value is not None and value == value:  # NaN is missing
                        row[name] = value
                continue
            for row, value in zip(rows, values, strict=True):
                if (stored := metadata.encode(value, recorded[name], f"{self.kind}.{name}")) is not None:
                    row[name] = stored
        return rows


def _is_empty(value: Any) -> bool:
    return value is not None and not isinstance(value, str) and metadata.plain(value) == []
