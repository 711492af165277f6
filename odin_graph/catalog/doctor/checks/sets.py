"""Vector sets and models: as many vectors as were added, and a definition that matches its digest."""

from __future__ import annotations

from collections.abc import Iterator

from odin_graph.catalog.activations.vector_sets import rows_of
from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.models.models import ModelRecord
from odin_graph.errors import StoreError
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores


def check_vector_sets(stores: Stores) -> Iterator[Fault]:
    """Check that each ready vector set has as many vectors as were added and not purged."""
    for row in stores.graph.read(
        f"MATCH (v:VectorSet) WHERE {alive('VectorSet', 'v')} RETURN v.id AS id, v.rows AS rows"
    ):
        try:
            number = len(rows_of(stores, row["id"]).coverage())
        except (StoreError, OSError):  # `check_segments` reports it
            continue
        if row["rows"] != number:
            yield Fault(
                f"vector set {row['id']!r}",
                f"It has {number} vectors, and {row['rows']} were added.",
                "Add them again: those that are there are left as they are.",
            )


def check_models(stores: Stores) -> Iterator[Fault]:
    """Check that the definition of each model matches its digest."""
    for row in stores.graph.read(
        f"MATCH (m:Model) WHERE {alive('Model', 'm')} RETURN m.id AS id, properties(m) AS node"
    ):
        thing = f"model {row['id']!r}"
        try:
            digest = ModelRecord.of_node(row["node"]).digest
        except (KeyError, ValueError, TypeError, AttributeError):
            yield Fault(thing, "Its definition cannot be read.", "Restore the graph from a backup.")
            continue
        if digest != row["node"].get("digest"):
            yield Fault(
                thing,
                "Its definition, preprocessing, classes, task or input shape were changed: the digest differs.",
                "Restore the graph from a backup, and look for a client that changes nodes of ours.",
            )
