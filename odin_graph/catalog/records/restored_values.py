"""Convert the metadata of restored things, whose fields may have another type now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from odin_graph.errors import ConflictError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE, Touched
from odin_graph.graph.writer import BATCH, batches, quoted
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.metadata import FieldType, convert, decode, encode
from odin_graph.schema.metadata.types import type_of

_SHOWN: Final = 5


def fit_types(tx: Transaction, kind: str, by: str, things: Sequence[Any]) -> dict[str, int]:
    """Convert values to the current types of their fields, without losing a digit, before the things are visible.

    A field without any other value takes the type of the restored values.

    Args:
        tx: The transaction that removes the tombstones.
        kind: The kind of the things.
        by: The property that identifies them, ``key`` or ``id``.
        things: The restored things.

    Returns:
        The number of converted values by field.

    Raises:
        ConflictError: Values cannot be converted; lists them, and nothing is changed.
    """
    tx.run("MATCH (w:Workspace) SET w.fields = coalesce(w.fields, 0) + 1")  # locks the types against other writers
    fields = tx.run("MATCH (f:Field {kind: $kind}) RETURN f.name AS name, f.type AS type", {"kind": kind})
    types = {row["name"]: FieldType(row["type"]) for row in fields}
    converted = {}
    for name, values in _mistyped(tx, kind, by, things, types).items():
        to = _free_type(tx, kind, name, [value for _, value in values]) or types[name]
        rows, failed = [], []
        for thing, value in values:
            try:
                after = encode(convert(value, to), to)
                if after is None:  # text that means a missing value, "NA"
                    raise ValueError
                rows.append({"thing": thing, "value": after})
            except (ValueError, OverflowError):
                failed.append(f"{value!r:.60} of {thing!r}")
        if failed:
            raise ConflictError(
                f"{kind}.{name} is {to} by now, and {len(failed):,} values of what is to come back are not, first "
                f"{', '.join(failed[:_SHOWN])} ({by}s). Nothing was changed: call db.fields.retype({name!r}, str) "
                "first, to which all of them can be converted, or take the field from the others."
            )
        if to is not types[name]:
            tx.run("MATCH (f:Field {id: $id}) SET f.type = $type", {"id": f"{kind}.{name}", "type": to.value})
            continue
        for part in batches(rows, BATCH):
            statement = f"UNWIND $rows AS r MATCH (n:{kind} {{{by}: r.thing}}) SET n.{quoted(name)} = r.value"
            tx.run(statement, {"rows": part}, Touched(None, (name,)) if kind == "Image" else NO_IMAGE)
        converted[name] = len(rows)
    return converted


def _mistyped(
    tx: Transaction, kind: str, by: str, things: Sequence[Any], types: dict[str, FieldType]
) -> dict[str, list[tuple[Any, Any]]]:
    """The values that do not have the type of their field, by field, each with its thing."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    if not types:
        return found
    values = ", ".join(f"n.{quoted(name)}" for name in types)
    statement = f"UNWIND $things AS thing MATCH (n:{kind} {{{by}: thing}}) RETURN thing, [{values}] AS values"
    for part in batches(list(things), BATCH):
        for row in tx.run(statement, {"things": part}):
            for (name, type_), stored in zip(types.items(), row["values"], strict=True):
                value = decode(stored)
                if value is not None and value != [] and type_of(value) is not type_:
                    found.setdefault(name, []).append((row["thing"], value))
    return found


def _free_type(tx: Transaction, kind: str, name: str, values: Sequence[Any]) -> FieldType | None:
    """The common type of the values, if no visible thing has a value of the field; else None."""
    used = f"MATCH (n:{kind}) WHERE {undeleted()} AND n.{quoted(name)} IS NOT NULL RETURN 1 AS n LIMIT 1"
    types = {type_of(value) for value in values}
    return types.pop() if len(types) == 1 and not tx.run(used) else None
