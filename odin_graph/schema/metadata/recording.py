"""The recorded types of metadata, kept as (:Field) nodes and written in the transaction that writes the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from odin_graph.schema.metadata.types import FieldType, widen

Run: TypeAlias = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""Runs one statement in the transaction at hand and returns its records."""


def record_types(run: Run, kind: str, found: Mapping[str, FieldType]) -> dict[str, FieldType]:
    """Record types, widening what is recorded; all of them, or none and an error.

    Writers that change a type meet at the (:Workspace): on Neo4j the second one waits there, on ArcadeDB its
    transaction is run again. Either way it sees what the first has recorded.

    Args:
        run: Runs a statement in the transaction that writes the values.
        kind: What carries them: Image, Dataset, Model, Experiment.
        found: The types of the values that are about to be written, by name.

    Returns:
        The recorded types, which the values are to be encoded as.

    Raises:
        MetadataError: A type clashes with the recorded one.
    """
    if not found:
        return {}
    held = _held(run, kind, found)
    agreed = _agreed(kind, found, held)
    if agreed == held:
        return agreed
    run("MATCH (w:Workspace) SET w.fields = coalesce(w.fields, 0) + 1", {})
    held = _held(run, kind, found)
    agreed = _agreed(kind, found, held)
    changed = [
        {"id": f"{kind}.{name}", "kind": kind, "name": name, "type": type_.value}
        for name, type_ in agreed.items()
        if held.get(name) is not type_
    ]
    if new := [row for row in changed if row["name"] not in held]:
        run("UNWIND $rows AS r CREATE (:Field {id: r.id, kind: r.kind, name: r.name, type: r.type})", {"rows": new})
    if wider := [row for row in changed if row["name"] in held]:
        run("UNWIND $rows AS r MATCH (f:Field {id: r.id}) SET f.type = r.type", {"rows": wider})
    return agreed


def _held(run: Run, kind: str, names: Iterable[str]) -> dict[str, FieldType]:
    ids = [f"{kind}.{name}" for name in names]
    rows = run("UNWIND $ids AS id MATCH (f:Field {id: id}) RETURN f.name AS name, f.type AS type", {"ids": ids})
    return {row["name"]: FieldType(row["type"]) for row in rows}


def _agreed(kind: str, found: Mapping[str, FieldType], held: Mapping[str, FieldType]) -> dict[str, FieldType]:
    return {name: widen(held[name], new, f"{kind}.{name}") if name in held else new for name, new in found.items()}
