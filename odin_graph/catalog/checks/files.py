"""Files that nodes name and that are no segments: weights and indexes."""

from __future__ import annotations

from collections.abc import Iterator

from odin_graph.catalog.checks.fault import Fault
from odin_graph.stores import Stores

_NAMED = (
    ("checkpoint", "MATCH (n:Checkpoint) WHERE n.weights IS NOT NULL RETURN n.id AS id, n.weights AS name"),
    ("index", "MATCH (n:VectorIndex {state: 'ready'}) WHERE n.uri IS NOT NULL RETURN n.id AS id, n.uri AS name"),
)


def weights_uri(digest: str) -> str:
    """Where weights are kept, below the arrays' root."""
    return f"weights/{digest}.safetensors"


def check_files(stores: Stores) -> Iterator[Fault]:
    """The weights of every checkpoint and the file of every index are there."""
    there = {file.uri for file in stores.arrays.files()}
    for kind, statement in _NAMED:
        for row in stores.graph.read(statement):
            uri = weights_uri(row["name"]) if kind == "checkpoint" else row["name"]
            if uri not in there:
                remedy = "Restore it from a backup." if kind == "checkpoint" else "It is built again when it is asked for."
                yield Fault(f"{kind} {row['id']!r}", f"Its file {uri} is missing.", remedy)
