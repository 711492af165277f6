"""The recorded types of free metadata: one type a name and kind, written with the values it is the type of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odin_graph.graph import Transaction
from odin_graph.schema import metadata
from odin_graph.schema.metadata import FieldType, record_types


@dataclass(frozen=True)
class NewValues:
    """Metadata columns on their way in: checked, typed, and not yet compared with what is recorded."""

    kind: str
    """What carries them: ``Image``, ``Dataset``, ``Model``, ``Experiment``."""
    columns: Mapping[str, Sequence[Any]]
    types: Mapping[str, FieldType]

    @classmethod
    def of(cls, kind: str, columns: Mapping[str, Sequence[Any]], *, own: Sequence[str] = ()) -> NewValues:
        """Check names and find the types. A column of nothing but missing values is left out.

        Args:
            kind: What carries them.
            columns: The values by name; None and NaN are missing.
            own: Names of ours that have no fixed type, such as ``label``.

        Raises:
            MetadataError: A name that is ours, or values that no single type holds.
        """
        for name in columns:
            if name not in own:
                metadata.check_name(kind, name)
        found = {name: metadata.classify(values, f"{kind}.{name}") for name, values in columns.items()}
        types = {name: type_ for name, type_ in found.items() if type_ is not None}
        return cls(kind, {name: columns[name] for name in types}, types)

    def record(self, tx: Transaction, number: int = 1) -> list[dict[str, Any]]:
        """Record the types in the transaction that writes the values.

        Args:
            tx: That transaction.
            number: How many nodes there are.

        Returns:
            For each node its properties, of the recorded types; what is missing is left out.

        Raises:
            MetadataError: A type that clashes with the recorded one.
        """
        recorded = record_types(tx.run, self.kind, self.types)
        rows: list[dict[str, Any]] = [{} for _ in range(number)]
        for name, values in self.columns.items():
            for row, value in zip(rows, values, strict=True):
                if (stored := metadata.encode(value, recorded[name], f"{self.kind}.{name}")) is not None:
                    row[name] = stored
        return rows
