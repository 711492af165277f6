"""Segments: what each is a piece of is in the graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.records.segments import all_segments
from odin_graph.catalog.records.unfinished import PARENTS
from odin_graph.stores import Stores


def check_owners(stores: Stores) -> Iterator[Fault]:
    """A segment of a data set, or of a set of any kind, is of one that is there."""
    arrays: defaultdict[str, set[str]] = defaultdict(set)
    for info in all_segments(stores):
        label, _, rest = info.array.partition("/")
        if label in (*PARENTS, "Experiment"):
            arrays[label].add(rest.rpartition("/")[0])
    for label, ids in arrays.items():
        known = {row["id"] for row in stores.graph.read(f"MATCH (n:{label}) RETURN n.id AS id")}
        if lost := sorted(ids - known):
            yield Fault(
                f"{label} nodes",
                f"{len(lost)} are gone from the graph, and their arrays are there: {shown(map(repr, lost))}.",
                "Restore the graph from a backup, and look for a client that deletes nodes.",
            )
