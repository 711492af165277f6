"""Segments: the set or data set that each belongs to is in the graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.records.segments import all_segments
from odin_graph.catalog.records.unfinished import PARENTS
from odin_graph.stores import Stores


def check_owners(stores: Stores) -> Iterator[Fault]:
    """Check that the owner of each segment, a data set or a set of any kind, exists."""
    arrays: defaultdict[str, set[str]] = defaultdict(set)
    for info in all_segments(stores):
        label, _, rest = info.array.partition("/")
        if label in (*PARENTS, "Experiment"):
            arrays[label].add(rest.rpartition("/")[0])
    for label, ids in arrays.items():
        known = {row["id"] for row in stores.graph.read(f"MATCH (n:{label}) RETURN n.id AS id")}
        if missing := sorted(ids - known):
            yield Fault(
                f"{label} nodes",
                f"{len(missing)} are gone from the graph, and their arrays are there: {shown(map(repr, missing))}.",
                "Restore the graph from a backup, and look for a client that deletes nodes.",
            )
