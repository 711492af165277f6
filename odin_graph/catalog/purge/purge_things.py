"""Purge things of kinds that packages add: fields, metadata and links go, a tombstone stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from odin_graph.arrays.names import fresh_name
from odin_graph.catalog.purge.purge import PurgeReport
from odin_graph.catalog.records.nodes import unknown
from odin_graph.catalog.records.people import author
from odin_graph.catalog.records.uses import joined, uses
from odin_graph.errors import FrozenError, QueryError
from odin_graph.graph import Transaction
from odin_graph.graph.kinds import kind_of
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import KINDS
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

_SHOWN: Final = 5


def purge_things(
    stores: Stores,
    label: str,
    ids: Sequence[str],
    *,
    why: str | None = None,
    who: str | None = None,
    force: bool = False,
) -> PurgeReport:
    """Destroy fields, metadata and links of things, in one transaction. Tombstones stay, with the id and the lineage.

    Those purged before are left as they are.

    Raises:
        QueryError: The kind is not one that a package adds, or things of it are not deleted.
        UnknownNameError: A thing does not exist.
        FrozenError: Something uses them, and ``force`` is false.
    """
    kind = kind_of(stores.graph, label)
    if label in KINDS or not kind.deletable:
        raise QueryError(f"A {kind.word} is not purged: its kind is not deletable.")
    listed = list(dict.fromkeys(ids))
    row = {"id": fresh_name(), "at": now(), "who": author(who), "why": why}
    loose = "|".join(sorted({link.edge for link in kind.links.values() if not link.lineage}))
    state = ", state: 'deleted'" if kind.ready else ""

    def destroy(tx: Transaction) -> PurgeReport:
        known = tx.run(
            f"UNWIND $ids AS id MATCH (n:{label} {{id: id}}) OPTIONAL MATCH (n)-[:INVALIDATED_BY]->(x:Deletion) "
            "WHERE x.state = 'purged' RETURN id, x IS NOT NULL AS purged",
            {"ids": listed},
        )
        if absent := [id_ for id_ in listed if id_ not in {found["id"] for found in known}]:
            raise unknown(stores, label, kind.word, absent[0])
        left = [found["id"] for found in known if not found["purged"]]
        if (used := uses(tx, label, left)) and not force:
            raise FrozenError(
                f"{label} {', '.join(map(repr, left[:_SHOWN]))} {joined(used)}. Nothing was purged. Purge anyway with "
                "force=True."
            )
        if not left:
            return PurgeReport()
        tx.run(
            "CREATE (:Deletion {id: $id, at: $at, who: $who, why: $why, state: 'purged', created_at: $at, images: 0})",
            row,
        )
        for part in batches(left):
            if loose:
                tx.run(f"UNWIND $ids AS id MATCH (:{label} {{id: id}})-[e:{loose}]->() DELETE e", {"ids": part})
            tx.run(
                f"MATCH (x:Deletion {{id: $deletion}}) UNWIND $ids AS id MATCH (n:{label} {{id: id}}) "
                f"SET n = {{id: n.id, created_at: n.created_at, deleted: true{state}}} "
                "CREATE (n)-[:INVALIDATED_BY]->(x)",
                {"deletion": row["id"], "ids": part},
            )
        return PurgeReport(destroyed={kind.word if len(left) == 1 else kind.plural: len(left)}, used=tuple(used))

    return stores.graph.execute(destroy)
