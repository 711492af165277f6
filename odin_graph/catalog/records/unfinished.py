"""Parents in state ``building`` that no process continues."""

from __future__ import annotations

from typing import Final

from odin_graph.catalog.records import creations
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import labels_where
from odin_graph.stores import Stores

PARENTS: Final = labels_where("built")
"""The labels of parents that are not visible before they are ready."""

_BATCH = 10_000


def remove_unfinished(stores: Stores, label: str, id: str) -> None:  # noqa: A002 - the users' word for it
    """Remove a building parent with all of its parts; its files become garbage.

    Done in batches, the parent last, so that an interrupted removal can be repeated.
    """
    parameters = {"id": id, "prefix": f"{label}/{id}/", "batch": _BATCH}
    while stores.graph.write(
        f"MATCH (:{label} {{id: $id, state: 'building'}})<-[:PART_OF]-(p) WITH p LIMIT $batch "
        "DETACH DELETE p RETURN 1 AS one LIMIT 1",
        parameters,
    ):
        pass
    while stores.graph.write(
        f"MATCH (:{label} {{id: $id, state: 'building'}})-[m:HAD_MEMBER]->() WITH m LIMIT $batch "
        "DELETE m RETURN 1 AS one LIMIT 1",
        parameters,
    ):
        pass

    def remove(tx: Transaction) -> None:
        if tx.run(f"MATCH (n:{label} {{id: $id, state: 'building'}}) RETURN n.id AS id", parameters):
            creations.forget(tx, label, id)
        tx.run(
            f"MATCH (n:{label} {{id: $id, state: 'building'}}) WITH n "
            "OPTIONAL MATCH (s:Segment) WHERE s.array STARTS WITH $prefix DETACH DELETE s, n",
            parameters,
        )

    stores.graph.execute(remove)
