"""Metadata: find values of another type than the recorded one, written by another client. They read as null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.records.leases import LOCK
from odin_graph.catalog.records.own_fields import own_fields
from odin_graph.graph.kinds import kinds_of
from odin_graph.schema.added_kinds import BASE
from odin_graph.schema.kinds import Kind, undeleted
from odin_graph.schema.metadata import FieldType, decode
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

_AT_ONCE = 10_000


def check_metadata(stores: Stores) -> Iterator[Fault]:
    """Compare each value of free metadata with the type recorded for its name."""
    kinds = kinds_of(stores.graph)
    recorded: dict[str, dict[str, FieldType]] = {
        label: own_fields(kind) for label, kind in kinds.items() if kind.metadata or own_fields(kind)
    }
    for row in stores.graph.read("MATCH (f:Field) RETURN f.kind AS kind, f.name AS name, f.type AS type"):
        recorded.setdefault(row["kind"], {})[row["name"]] = FieldType(row["type"])
    for kind, types in recorded.items():
        if kind in kinds:
            yield from _check_kind(stores, kinds[kind], types)
        else:
            yield Fault(
                f"metadata of {kind}",
                f"{len(types)} types are recorded, and no such kind is known.",
                "Look for a client that changes nodes of ours, and delete the nodes (:Field) of that kind.",
            )


def _check_kind(stores: Stores, entry: Kind, types: dict[str, FieldType]) -> Iterator[Fault]:
    kind, ours = entry.label, {*(reserved(entry) if entry.metadata else (*BASE, *entry.own)), "odin_origins", LOCK}
    foreign: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    # Deleted nodes may have values of an earlier type of the field.
    statement = f"MATCH (n:{kind}) WHERE {undeleted()} RETURN properties(n) AS properties"
    for rows in stores.graph.stream(statement, size=_AT_ONCE):
        for name, value in (item for row in rows for item in row["properties"].items()):
            if name in types:
                foreign[name] += decode(value, types[name]) is None and value != []
            elif name not in ours:
                unknown[name] += 1
    for name, number in sorted((+foreign).items()):
        yield Fault(
            f"metadata {kind}.{name}",
            f"{number} values are not {types[name]}, so they read as missing.",
            "Have the client that wrote them convert them.",
        )
    for name, number in sorted(unknown.items()):
        yield Fault(
            f"metadata {kind}.{name}",
            f"{number} values were written past odin_graph, and no type is recorded.",
            "Remove the property, or store it through odin_graph.",
        )
