"""Nodes: required properties, valid states, unique values, and tombstones with their deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.graph.kinds import kinds_of
from odin_graph.schema.kinds import Kind, undeleted
from odin_graph.stores import Stores

_NEEDED: Final = {
    "MemberChunk": ("id", "number", "keys"),
    "Segment": ("id", "array", "uri", "keys", "rows", "codec"),
    "LabelChange": ("id",),
    "Deletion": ("id",),
    "Field": ("id", "kind", "name", "type"),
    "Creation": ("id", "kind", "thing"),
    "View": ("id", "base", "version", "query"),
    "NodeKind": ("id", "definition"),
}
"""The required properties of labels that are no kinds, unless the node was deleted."""
_UNIQUE: Final = (("Image", "key"), ("Field", "id"))
"""Unique properties that the engine itself does not check."""
_PARTS: Final = (
    ("Prediction", "PART_OF", "PredictionSet"),
    ("MemberChunk", "PART_OF", "Dataset"),
    ("LabelChange", "OF", "Image"),
)
"""Nodes that are made with an edge to what they are about, and removed before it."""
_RESTORE: Final = "Restore the graph from a backup, and look for a client that changes nodes of ours."


def check_nodes(stores: Stores) -> Iterator[Fault]:
    """Check that each node has the required properties and a valid state, and that keys are unique."""
    kinds = kinds_of(stores.graph)
    for label, names in {**{label: _stored_on_node(kind) for label, kind in kinds.items()}, **_NEEDED}.items():
        for name in names:
            rows = stores.graph.read(
                f"MATCH (n:{label}) WHERE n.{name} IS NULL AND {undeleted()} RETURN n.id AS id LIMIT 1000"
            )
            if rows:
                ids = [repr(row["id"]) if row["id"] is not None else "one without an id" for row in rows]
                yield Fault(f"{label} nodes", f"{len(rows)} have no {name}, {shown(ids)}.", _RESTORE)
    for label, states in ((label, kind.states) for label, kind in kinds.items() if kind.states):
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE {undeleted()} AND n.state IS NOT NULL AND NOT n.state IN $states "
            "RETURN n.id AS id, n.state AS state LIMIT 1000",
            {"states": list(states)},
        )
        if rows:
            listed = shown(f"{row['id']!r} in {row['state']!r}" for row in rows)
            yield Fault(f"{label} nodes", f"{len(rows)} are in a state that there is not, {listed}.", _RESTORE)
    for label, name in _UNIQUE:
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE n.{name} IS NOT NULL WITH n.{name} AS value, count(n) AS number "
            "WHERE number > 1 RETURN value LIMIT 1000"
        )
        if rows:
            listed = shown(repr(row["value"]) for row in rows)
            yield Fault(f"{label} nodes", f"{len(rows)} values of {name} are there twice, {listed}.", _RESTORE)
    rows = stores.graph.read("MATCH (w:Workspace) RETURN w.id AS id")
    if len(rows) != 1:
        yield Fault("workspace", f"There are {len(rows)} Workspace nodes, and there must be one.", _RESTORE)


def check_parts(stores: Stores) -> Iterator[Fault]:
    """Check that predictions, label corrections and chunks of members are of something."""
    for label, edge, end in _PARTS:
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE NOT EXISTS {{ MATCH (n)-[:{edge}]->(:{end}) }} RETURN n.id AS id LIMIT 1000"
        )
        if rows:
            listed = shown(repr(row["id"]) for row in rows)
            yield Fault(f"{label} nodes", f"{len(rows)} have no edge {edge}, {listed}.", _RESTORE)


def check_tombstones(stores: Stores) -> Iterator[Fault]:
    """Check that exactly the deleted nodes have an edge to a deletion."""
    # What is computed again loses its files when it is deleted: it needs no tombstone to be restored from.
    kinds = kinds_of(stores.graph).items()
    for label in (label for label, kind in kinds if kind.deletable and not kind.computed):
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE n.deleted AND NOT EXISTS {{ MATCH (n)-[:INVALIDATED_BY]->(:Deletion) }} "
            "RETURN n.id AS id LIMIT 1000"
        )
        if rows:
            ids = shown(repr(row["id"]) for row in rows)
            yield Fault(
                f"{label} nodes", f"{len(rows)} are deleted, and nothing says when, by whom or why: {ids}.", _RESTORE
            )
        rows = stores.graph.read(
            f"MATCH (n:{label})-[:INVALIDATED_BY]->(:Deletion) WHERE {undeleted()} RETURN n.id AS id LIMIT 1000"
        )
        if rows:
            ids = shown(repr(row["id"]) for row in rows)
            yield Fault(
                f"{label} nodes",
                f"{len(rows)} have a deletion, and are not marked as deleted: {ids}.",
                "Delete them again with odin_graph, or restore the graph from a backup.",
            )


def _stored_on_node(kind: Kind) -> tuple[str, ...]:
    """What each has among its properties; a link that each has is an edge."""
    return tuple(name for name in kind.needed if name not in kind.links)
