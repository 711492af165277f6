"""Prediction nodes: the projection of a set's columns into the graph, for lineage in Cypher."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from odin_graph.catalog.records import leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_edges
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

BATCH = 10_000

# One pattern with every property named: three times as fast on ArcadeDB as several clauses, ten times as SET of a map.
_CREATE = """
MATCH (s:PredictionSet {id: $parent})
UNWIND $rows AS r
MATCH (i:Image {key: r.key})
CREATE (s)<-[:PART_OF]-(:Prediction {id: r.id, predicted: r.predicted, confidence: r.confidence, wrong: r.wrong})
       -[:OF]->(i)
"""
_EDGES = """
MATCH (s:PredictionSet {id: $id})
OPTIONAL MATCH (s)-[:GENERATED_BY]->(e:Experiment)
OPTIONAL MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint)
OPTIONAL MATCH (s)-[:OF]->(d:Dataset)
OPTIONAL MATCH (s)-[:INVALIDATED_BY]->(x:Deletion)
RETURN e.id AS experiment, c.id AS checkpoint, d.id AS dataset, x.id AS deletion
"""


def project(stores: Stores, set_id: str, parent: str, lease: Lease, *, resumed: bool) -> None:
    """Write the nodes of a set as parts of ``parent``, which nobody sees yet; what is there already is left.

    Args:
        stores: The open workspace.
        set_id: Whose columns are read, and whose id the nodes' ids begin with.
        parent: The set in state ``building`` that they become parts of.
        lease: Ours, of the parent.
        resumed: Whether some nodes may be there.
    """
    table = columns_of(stores, set_id)
    if table is None:
        return
    if resumed:
        table = _without(table, _projected(stores, parent), f"{set_id}:")
    for rows in _ahead(table, set_id):

        def create(tx: Transaction, rows: list[dict[str, object]] = rows) -> None:
            lease.check(tx)
            tx.run(_CREATE, {"parent": parent, "rows": rows})

        stores.graph.execute(create)


def _ahead(table: pa.Table, set_id: str) -> Iterator[list[dict[str, object]]]:
    """Batches of rows, each made while the engine is at work on the one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="odin projection") as pool:
        coming: Future[list[dict[str, object]]] | None = None
        for start in range(0, table.num_rows, BATCH):
            made, coming = coming, pool.submit(_rows, table.slice(start, BATCH), set_id)
            if made is not None:
                yield made.result()
        if coming is not None:
            yield coming.result()


def _rows(part: pa.Table, set_id: str) -> list[dict[str, object]]:
    # Column by column: Arrow makes a row's dict in ten times the time.
    names = ("key", "predicted", "confidence", "wrong")
    return [
        {"id": f"{set_id}:{key}", "key": key, "predicted": predicted, "confidence": confidence, "wrong": wrong}
        for key, predicted, confidence, wrong in zip(*(part.column(name).to_pylist() for name in names), strict=True)
    ]


def columns_of(stores: Stores, set_id: str) -> pa.Table | None:
    """All columns of a set, by key; of one that is still building, too. None if it has none yet."""
    segments = segments_of(stores, f"PredictionSet/{set_id}/columns")
    if not segments:
        return None
    return pa.concat_tables([stores.arrays.read_table(segment) for segment in segments]).sort_by("key")


def to_graph(stores: Stores, set_id: str) -> None:
    """Add the nodes of a ready set that was made without.

    They are gathered under a stand-in that is ``building``, which takes the set's place in one last transaction: a
    reader of ready sets sees all of the nodes or none.

    Raises:
        UnknownNameError: There is no such ready set.
        ConflictError: A live process is adding them.
    """
    rows = stores.graph.read(
        "MATCH (s:PredictionSet {id: $id, state: 'ready'}) RETURN s.nodes AS nodes", {"id": set_id}
    )
    if not rows:
        known = stores.graph.read("MATCH (s:PredictionSet {state: 'ready'}) RETURN s.id AS id")
        raise UnknownNameError.of("ready prediction set", set_id, [row["id"] for row in known])
    if rows[0]["nodes"]:
        return
    stand_in = f"{set_id}/nodes"
    resumed = not _make_stand_in(stores, stand_in)
    with leases.acquire(stores.graph, "PredictionSet", stand_in) as lease:
        project(stores, set_id, stand_in, lease, resumed=resumed)
        stores.graph.execute(lambda tx: _take_place(tx, lease, stand_in, set_id))


def project_again(stores: Stores, set_id: str) -> None:
    """Write the nodes of a ready set anew from its columns, in place of those that are there."""
    stores.graph.write("MATCH (s:PredictionSet {id: $id}) SET s.nodes = false", {"id": set_id})
    while stores.graph.write(
        "MATCH (p:Prediction) WHERE p.id STARTS WITH $prefix WITH p LIMIT $batch DETACH DELETE p "
        "RETURN 1 AS one LIMIT 1",
        {"prefix": f"{set_id}:", "batch": BATCH},
    ):
        pass
    while stores.graph.write(
        "MATCH (:PredictionSet {id: $id})<-[:PART_OF]-(p:Prediction) WITH p LIMIT $batch DETACH DELETE p "
        "RETURN 1 AS one LIMIT 1",
        {"id": set_id, "batch": BATCH},
    ):
        pass
    to_graph(stores, set_id)


def _make_stand_in(stores: Stores, stand_in: str) -> bool:
    try:
        stores.graph.write(
            "CREATE (s:PredictionSet {id: $id, state: 'building', created_at: $at})", {"id": stand_in, "at": now()}
        )
    except ConflictError:  # an earlier call left it: go on
        return False
    return True


def _take_place(tx: Transaction, lease: Lease, stand_in: str, set_id: str) -> None:
    lease.check(tx)
    ends = tx.run(_EDGES, {"id": set_id})[0]
    (held,) = tx.run("MATCH (s:PredictionSet {id: $id}) RETURN properties(s) AS own", {"id": set_id})
    tx.run("MATCH (s:PredictionSet {id: $id}) DETACH DELETE s", {"id": set_id})
    own = {**held["own"], "nodes": True}
    tx.run("MATCH (s:PredictionSet {id: $id}) SET s = $own", {"id": stand_in, "own": own})
    for edge, label, end in (
        ("GENERATED_BY", "Experiment", ends["experiment"]),
        ("DERIVED_FROM", "Checkpoint", ends["checkpoint"]),
        ("OF", "Dataset", ends["dataset"]),
        ("INVALIDATED_BY", "Deletion", ends["deletion"]),
    ):
        if end is not None:
            create_edges(tx, edge, ("PredictionSet", "id"), (label, "id"), [{"start": set_id, "end": end}])


def _projected(stores: Stores, parent: str) -> list[str]:
    rows = stores.graph.read("MATCH (:PredictionSet {id: $id})<-[:PART_OF]-(p) RETURN p.id AS id", {"id": parent})
    return [row["id"] for row in rows]


def _without(table: pa.Table, ids: list[str], prefix: str) -> pa.Table:
    there = np.array([int(id_.removeprefix(prefix)) for id_ in ids], np.int64)
    return table.filter(pa.array(~np.isin(table.column("key").to_numpy(), there)))
