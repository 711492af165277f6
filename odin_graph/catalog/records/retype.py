"""Change the type of a field: all of its values are converted in one transaction, or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from odin_graph.catalog.records.fields import recorded_types
from odin_graph.errors import MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE, Touched
from odin_graph.graph.kinds import kinds_of
from odin_graph.graph.writer import BATCH, batches, quoted
from odin_graph.schema.kinds import key_of
from odin_graph.schema.metadata import FieldType, convert, decode, encode
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

_SHOWN: Final = 20
_KEYS: Final = 20_000
"""How many image keys one statement reads."""


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
    """Convert every value of a field and record its new type, or change nothing.

    Frozen values (labels of data set versions, the history of labels) are not converted. Values of tombstones
    are converted where possible. Text that means a missing value ("NA", "") cannot be converted: remove
    it first.

    Args:
        stores: The open workspace.
        name: The field: free metadata, or ``label``.
        to: The new type.
        kind: The kind of the things that have the field.

    Raises:
        UnknownNameError: There is no such kind or field.
        MetadataError: The field is reserved, or values cannot be converted: lists them, and nothing is changed.
    """
    described = {label: each for label, each in kinds_of(stores.graph).items() if each.metadata}
    if kind not in described:
        raise UnknownNameError.of("kind that takes metadata", kind, described)
    if name in reserved(described[kind]) and name != "label":
        raise MetadataError(f"{name!r} is a property of ours, whose type is fixed.")
    types = recorded_types(stores.graph, kind)
    if name not in types:
        raise UnknownNameError.of(f"{kind.lower()} field with a recorded type", name, types)
    return stores.graph.execute(lambda tx: _retype(tx, name, to, kind))


def _retype(tx: Transaction, name: str, to: FieldType, kind: str) -> RetypeReport:
    tx.run("MATCH (w:Workspace) SET w.fields = coalesce(w.fields, 0) + 1")  # locks the types against other writers
    recorded = tx.run("MATCH (f:Field {id: $id}) RETURN f.type AS type", {"id": f"{kind}.{name}"})
    if not recorded:
        raise MetadataError(f"{kind}.{name} was forgotten meanwhile, so that its type is free.")
    before = FieldType(recorded[0]["type"])
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for row in _values(tx, kind, name):
        value = decode(row["value"])
        try:
            after = encode(convert(value, to), to) if value != [] or to.is_list else None
            if after is None:
                raise ValueError("nothing")
        except (ValueError, OverflowError):
            if not row["deleted"]:
                failed.append(f"{value!r:.60} of {row['id']!r}")
            continue
        rows.append({"by": row["by"], "value": after})
    if failed:
        listed = ", ".join(failed[:_SHOWN]) + (f" and {len(failed) - _SHOWN:,} more" if failed[_SHOWN:] else "")
        raise MetadataError(
            f"{len(failed):,} values of {kind}.{name} are not of type {to}: {listed}. Nothing was changed: correct or "
            "remove them, and call again."
        )
    by = key_of(kind)
    for part in batches(rows, BATCH):
        tx.run(
            f"UNWIND $rows AS r MATCH (n:{kind} {{{by}: r.by}}) SET n.{quoted(name)} = r.value",
            {"rows": part},
            Touched(None, (name,)) if kind == "Image" else NO_IMAGE,
        )
    tx.run("MATCH (f:Field {id: $id}) SET f.type = $type", {"id": f"{kind}.{name}", "type": to.value})
    return RetypeReport(kind, name, before, to, len(rows))


def _values(tx: Transaction, kind: str, name: str) -> Iterator[dict[str, Any]]:
    """Every value of a field, including tombstones."""
    by = key_of(kind)
    columns = f"n.{by} AS by, n.id AS id, n.deleted AS deleted, n.{quoted(name)} AS value"
    if kind != "Image":
        yield from tx.run(f"MATCH (n:{kind}) WHERE n.{quoted(name)} IS NOT NULL RETURN {columns}")
        return
    (keys,) = tx.run("MATCH (n:Image) RETURN min(n.key) AS first, max(n.key) AS last")
    statement = (
        f"MATCH (n:Image) WHERE n.key >= $first AND n.key < $end AND n.{quoted(name)} IS NOT NULL RETURN {columns}"
    )
    for first in range(keys["first"] or 0, (keys["last"] if keys["last"] is not None else -1) + 1, _KEYS):
        yield from tx.run(statement, {"first": first, "end": first + _KEYS})
