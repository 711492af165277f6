"""Creations: each thing that was made has its node, deleted or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.graph.kinds import added_kinds
from odin_graph.schema.creation import CREATED
from odin_graph.stores import Stores


def check_creations(stores: Stores) -> Iterator[Fault]:
    """Find the things that another client deleted."""
    gone = _gone(stores)
    again = _gone(stores) if gone else {}  # what odin_graph itself removed in between has no creation any more
    for label in gone:
        if missing := gone[label] & again.get(label, set()):
            yield Fault(
                f"{label} nodes",
                f"{len(missing)} were made, and are gone from the graph: {shown(sorted(map(repr, missing)))}.",
                "Restore the graph from a backup, or make them again under the same id. To accept the loss, delete "
                "their nodes (:Creation {kind, thing}).",
            )


def _gone(stores: Stores) -> dict[str, set[Any]]:
    made: defaultdict[str, set[Any]] = defaultdict(set)
    for row in stores.graph.read("MATCH (c:Creation) RETURN c.kind AS kind, c.thing AS thing"):
        made[row["kind"]].add(row["thing"])
    known = {
        label: {row["id"] for row in stores.graph.read(f"MATCH (n:{label}) RETURN n.id AS id")}
        for label in (*CREATED, *added_kinds(stores.graph))
        if label in made
    }
    return {label: missing for label, ids in known.items() if (missing := made[label] - ids)}
