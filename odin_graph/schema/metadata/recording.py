"""The recorded types of metadata, kept as (:Field) nodes and written in the transaction that writes the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from odin_graph.errors import MetadataError
from odin_graph.schema.metadata.types import FieldType, widen

_EXACT: Final = 2**53
"""Up to this every integer is exact as a float."""
_MEET: Final = "MATCH (w:Workspace) SET w.fields = coalesce(w.fields, 0) + 1"
_TYPES: Final = "UNWIND $ids AS id MATCH (f:Field {id: id}) RETURN f.name AS name, f.type AS type"

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
        MetadataError: A type clashes with the recorded one, or a recorded integer is lost as a float.
    """
    if not found:
        return {}
    recorded = _recorded(run, kind, found)
    if all(name in recorded and _widens(recorded[name], new) is recorded[name] for name, new in found.items()):
        return recorded
    run(_MEET, {})
    recorded = _recorded(run, kind, found)
    agreed = {
        name: _agreed(kind, name, recorded[name], new) if name in recorded else new for name, new in found.items()
    }
    for name in agreed:
        if name in recorded and recorded[name].scalar is FieldType.INT and agreed[name] is not recorded[name]:
            _check_floats(run, kind, name, recorded[name])
    changed = [
        {"id": f"{kind}.{name}", "kind": kind, "name": name, "type": type_.value}
        for name, type_ in agreed.items()
        if recorded.get(name) is not type_
    ]
    if new := [row for row in changed if row["name"] not in recorded]:
        run("UNWIND $rows AS r CREATE (:Field {id: r.id, kind: r.kind, name: r.name, type: r.type})", {"rows": new})
    if wider := [row for row in changed if row["name"] in recorded]:
        run("UNWIND $rows AS r MATCH (f:Field {id: r.id}) SET f.type = r.type", {"rows": wider})
    return agreed


def unchanged(run: Run, kind: str, recorded: Mapping[str, FieldType]) -> bool:
    """Whether the types that values were encoded as are recorded still, and stay so until the transaction has ended.

    Writers that change a type meet at the (:Workspace) first. To be asked last in a transaction, so that writers who
    change none wait for each other no longer than a commit takes.
    """
    return _recorded(run, kind, recorded, f"{_MEET} WITH count(w) AS met {_TYPES}") == dict(recorded)


def list_types(run: Run, kind: str, names: Iterable[str]) -> dict[str, FieldType]:
    """The recorded types of fields that are given empty lists alone.

    Raises:
        MetadataError: Nothing says what one is a list of.
    """
    names = list(names)
    recorded = _recorded(run, kind, names) if names else {}
    for name in names:
        if name not in recorded or not recorded[name].is_list:
            why = f"is {recorded[name]}" if name in recorded else "is not recorded yet"
            raise MetadataError(
                f"{kind}.{name} {why}, and the type of the items of [] is not known: leave it out, or give None to "
                "store nothing."
            )
    return recorded


def _recorded(run: Run, kind: str, names: Iterable[str], statement: str = _TYPES) -> dict[str, FieldType]:
    rows = run(statement, {"ids": [f"{kind}.{name}" for name in names]})
    return {row["name"]: FieldType(row["type"]) for row in rows}


def forget_unused(run: Run, kind: str, found: Mapping[str, FieldType]) -> None:
    """Forget recorded types other than these, of fields that nothing has a value of any more.

    Args:
        run: Runs a statement in the transaction that writes the values.
        kind: What carries them.
        found: The types of the values that are about to be written, by name.
    """
    recorded = _recorded(run, kind, found)
    others = [name for name, new in found.items() if name in recorded and recorded[name] is not new]
    if not others:
        return
    run(_MEET, {})
    for name in others:
        used = f"MATCH (n:{kind}) WHERE n.deleted IS NULL AND n.`{name}` IS NOT NULL RETURN 1 AS n LIMIT 1"
        if not run(used, {}):
            run("MATCH (f:Field {id: $id}) DELETE f", {"id": f"{kind}.{name}"})


def _agreed(kind: str, name: str, recorded: FieldType, new: FieldType) -> FieldType:
    try:
        return widen(recorded, new, f"{kind}.{name}")
    except MetadataError as error:
        raise MetadataError(f"{error} db.fields.retype({name!r}, ...) converts all that is stored.") from None


def _widens(recorded: FieldType, new: FieldType) -> FieldType | None:
    """The type that holds both; None where there is none."""
    try:
        return widen(recorded, new)
    except MetadataError:
        return None


def _check_floats(run: Run, kind: str, name: str, recorded: FieldType) -> None:
    """Refuse to widen stored integers that a float would cut."""
    large = f"n.`{name}`" if not recorded.is_list else "item"
    condition = f"({large} > {_EXACT} OR {large} < -{_EXACT})"
    where = f"any(item IN n.`{name}` WHERE {condition})" if recorded.is_list else condition
    for row in run(f"MATCH (n:{kind}) WHERE {where} RETURN DISTINCT n.`{name}` AS value", {}):
        for number in row["value"] if recorded.is_list else [row["value"]]:
            if isinstance(number, int) and int(float(number)) != number:
                raise MetadataError(
                    f"{kind}.{name} is {recorded}, but the new value is a float: the stored value {number} would lose "
                    f"digits as a float. Give the floats a field of their own, or keep both as text: "
                    f"db.fields.retype({name!r}, str)."
                )
