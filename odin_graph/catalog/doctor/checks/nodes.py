"""Nodes: required properties, counters above every used number, and tombstones with their deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.schema.kinds import KINDS
from odin_graph.stores import Stores

_NEEDED: Final = {
    **{label: kind.needed for label, kind in KINDS.items()},
    "Segment": ("id", "array", "uri", "keys", "rows", "codec"),
    "LabelChange": ("id",),
    "Deletion": ("id",),
    "Field": ("id", "kind", "name", "type"),
    "View": ("id", "base", "version", "query"),
}
"""The required properties of each label, unless the node was deleted."""
_UNIQUE: Final = (("Image", "key"), ("Field", "id"))
"""Unique properties that the engine itself does not check."""
_RESTORE: Final = "Restore the graph from a backup, and look for a client that changes nodes of ours."
_COUNTED: Final = (
    ("checkpoints of ", "MATCH (c:Checkpoint) RETURN c.id AS id"),
    ("predictions of ", "MATCH (s:PredictionSet) RETURN s.id AS id"),
)
_IDS: Final = "MATCH (n:{label}) RETURN n.id AS id"


def check_nodes(stores: Stores) -> Iterator[Fault]:
    """Check that each node has the required properties and a valid state, and that keys are unique."""
    for label, names in _NEEDED.items():
        for name in names:
            rows = stores.graph.read(
                f"MATCH (n:{label}) WHERE n.{name} IS NULL AND n.deleted IS NULL RETURN n.id AS id LIMIT 1000"
            )
            if rows:
                ids = [repr(row["id"]) if row["id"] is not None else "one without an id" for row in rows]
                yield Fault(f"{label} nodes", f"{len(rows)} have no {name}, {shown(ids)}.", _RESTORE)
    for label, states in ((label, kind.states) for label, kind in KINDS.items() if kind.states):
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE n.deleted IS NULL AND n.state IS NOT NULL AND NOT n.state IN $states "
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


def check_tombstones(stores: Stores) -> Iterator[Fault]:
    """Check that exactly the deleted nodes have an edge to a deletion."""
    for label in ("Image", "Dataset", "Model", "Experiment", "Checkpoint", "PredictionSet", "Volume", "Video"):
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
            f"MATCH (n:{label})-[:INVALIDATED_BY]->(:Deletion) WHERE n.deleted IS NULL RETURN n.id AS id LIMIT 1000"
        )
        if rows:
            ids = shown(repr(row["id"]) for row in rows)
            yield Fault(
                f"{label} nodes",
                f"{len(rows)} have a deletion, and are not marked as deleted: {ids}.",
                "Delete them again with odin_graph, or restore the graph from a backup.",
            )


def check_counters(stores: Stores) -> Iterator[Fault]:
    """Check that no counter can return a used number."""
    counters = {
        row["id"]: row["next"] for row in stores.graph.read("MATCH (c:Counter) RETURN c.id AS id, c.next AS next")
    }
    (row,) = stores.graph.read("MATCH (i:Image) RETURN max(i.key) AS most")
    highest_used = {"image": row["most"]} if isinstance(row["most"], int) else {}
    owners = {row["id"] for label in ("Experiment", "Model") for row in stores.graph.read(_IDS.format(label=label))}
    for prefix, statement in _COUNTED:
        for row in stores.graph.read(statement):
            owner, _, number = str(row["id"]).rpartition("/")
            owner = owner.removesuffix("/predictions") if "predictions" in prefix else owner
            name = prefix + owner
            if number.isdecimal() and owner in owners:
                highest_used[name] = max(highest_used.get(name, 0), int(number))
    counted = {name.removeprefix(prefix) for prefix, _ in _COUNTED for name in counters if name.startswith(prefix)}
    if lost := sorted(counted - owners):
        yield Fault(
            "Experiment and Model nodes",
            f"{len(lost)} are gone from the graph, and what they made was counted: {shown(map(repr, lost))}.",
            _RESTORE,
        )
    for name, used in sorted(highest_used.items()):
        next_number = counters.get(name)
        if not isinstance(next_number, int) or next_number <= used:
            yield _late(stores, name, next_number, used + 1)


def _late(stores: Stores, name: str, next_number: object, least: int) -> Fault:
    def mend() -> str:
        stores.graph.write("MERGE (c:Counter {id: $id}) SET c.next = $next", {"id": name, "next": least})
        return f"The counter {name!r} goes on at {least}."

    found = "is missing" if next_number is None else f"goes on at {next_number}"
    return Fault(
        f"counter {name!r}",
        f"It {found}, and numbers up to {least - 1} were given.",
        "`odin doctor --repair` sets it above them.",
        mend,
    )
