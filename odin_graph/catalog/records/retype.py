"""A field gets another type: every value of it is converted, in one transaction, or none and an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from odin_graph.catalog.records.fields import recorded_types
from odin_graph.errors import MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import BATCH, batches, quoted
from odin_graph.schema.kinds import DESCRIBED
from odin_graph.schema.metadata import FieldType, convert, decode, encode
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

_SHOWN: Final = 20
_KEYS: Final = 20_000
"""Images a statement that reads."""


@dataclass(frozen=True)
class RetypeReport:
    """What a change of type did."""

    kind: str
    name: str
    before: FieldType
    after: FieldType
    converted: int
    """How many values there were."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}.{self.name} is {self.after} (was {self.before}): {self.converted:,} values converted"

    __repr__ = __str__


def retype(stores: Stores, name: str, to: FieldType, kind: str = "Image") -> RetypeReport:
    """Convert every value of a field, and record its new type: all of it, or nothing.

    What was frozen (labels of data set versions, the history of labels) keeps the values that it froze. Tombstones
    are converted as far as they can be. Text that stands for nothing ("NA", "") is no value of another type: remove
    it before.

    Args:
        stores: The open workspace.
        name: The field: free metadata, or ``label``.
        to: The new type.
        kind: What carries it.

    Raises:
        UnknownNameError: There is no such kind or field.
        MetadataError: The field is ours, or values do not fit: lists them, and nothing is changed.
    """
    if kind not in DESCRIBED:
        raise UnknownNameError.of("kind that takes metadata", kind, DESCRIBED)
    if name in reserved(kind) and name != "label":
        raise MetadataError(f"{name!r} is a property of ours, whose type is fixed.")
    types = recorded_types(stores.graph, kind)
    if name not in types:
        raise UnknownNameError.of(f"{kind.lower()} field with a recorded type", name, types)
    return stores.graph.execute(lambda tx: _retype(tx, name, to, kind))


def _retype(tx: Transaction, name: str, to: FieldType, kind: str) -> RetypeReport:
    tx.run("MATCH (w:Workspace) SET w.fields = coalesce(w.fields, 0) + 1")  # where writers of types meet
    found = tx.run("MATCH (f:Field {id: $id}) RETURN f.type AS type", {"id": f"{kind}.{name}"})
    if not found:
        raise MetadataError(f"{kind}.{name} was forgotten meanwhile, so that its type is free.")
    before = FieldType(found[0]["type"])
    rows: list[dict[str, Any]] = []
    strange: list[str] = []
    for row in _values(tx, kind, name):
        value = decode(row["value"])
        try:
            after = encode(convert(value, to), to) if value != [] or to.is_list else None
            if after is None:
                raise ValueError("nothing")
        except (ValueError, OverflowError):
            if not row["deleted"]:
                strange.append(f"{value!r:.60} of {row['id']!r}")
            continue
        rows.append({"by": row["by"], "value": after})
    if strange:
        listed = ", ".join(strange[:_SHOWN]) + (f" and {len(strange) - _SHOWN:,} more" if strange[_SHOWN:] else "")
        raise MetadataError(
            f"{len(strange):,} values of {kind}.{name} are not of type {to}: {listed}. Nothing was changed: correct or "
            "remove them, and call again."
        )
    by = "key" if kind == "Image" else "id"
    for part in batches(rows, BATCH):
        tx.run(f"UNWIND $rows AS r MATCH (n:{kind} {{{by}: r.by}}) SET n.{quoted(name)} = r.value", {"rows": part})
    tx.run("MATCH (f:Field {id: $id}) SET f.type = $type", {"id": f"{kind}.{name}", "type": to.value})
    return RetypeReport(kind, name, before, to, len(rows))


def _values(tx: Transaction, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """Every value of a field, those of tombstones too."""
    by = "key" if kind == "Image" else "id"
    given = f"n.{by} AS by, n.id AS id, n.deleted AS deleted, n.{quoted(name)} AS value"
    if kind != "Image":
        yield from tx.run(f"MATCH (n:{kind}) WHERE n.{quoted(name)} IS NOT NULL RETURN {given}")
        return
    (ends,) = tx.run("MATCH (n:Image) RETURN min(n.key) AS first, max(n.key) AS last")
    statement = (
        f"MATCH (n:Image) WHERE n.key >= $first AND n.key < $end AND n.{quoted(name)} IS NOT NULL RETURN {given}"
    )
    for first in range(ends["first"] or 0, (ends["last"] if ends["last"] is not None else -1) + 1, _KEYS):
        yield from tx.run(statement, {"first": first, "end": first + _KEYS})
