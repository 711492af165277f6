"""Prediction nodes: the rows of a prediction set as nodes of the graph, for lineage in Cypher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.catalog.inputs.inputs import Inputs
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE
from odin_graph.graph.writer import create_edges
from odin_graph.schema.kinds import alive
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
    """Write the nodes of a set as parts of ``parent``, which is not visible yet; existing nodes are kept.

    Args:
        stores: The open workspace.
        set_id: The set whose columns are read, and whose id is the prefix of the ids of the nodes.
        parent: The set in state ``building`` that gets the nodes.
        lease: Our lease on the parent.
        resumed: Whether some nodes may exist.
    """
    table = columns_of(stores, set_id)
    if table is None:
        return
    if resumed:
        table = _without(table, _projected(stores, parent), f"{set_id}:")
    others = None
    if "input" in table.column_names:
        table, others = by_input(table)
    for rows in _ahead(table, set_id, others):

        def create(tx: Transaction, rows: list[dict[str, Any]] = rows) -> None:
            lease.check(tx)
            tx.run(_CREATE, {"parent": parent, "rows": rows}, NO_IMAGE)
            others = [{"start": row["id"], "end": key} for row in rows for key in row.get("others", ())]
            create_edges(tx, "OF", ("Prediction", "id"), ("Image", "key"), others)

        stores.graph.execute(create)


def predicted_inputs(stores: Stores, set_id: str) -> tuple[pa.Table, Inputs]:
    """The columns of a ready set of inputs, a row each, and the images of each, in the same order."""
    table = stores.columns.predictions(set_id).sort_by([("input", "ascending"), ("place", "ascending")])
    keys, first = (table.column(name).to_numpy() for name in ("key", "input"))
    starts = np.flatnonzero(keys == first)
    rows = table.take(pa.array(starts))
    names = tuple(f"the input of key {key}" for key in first[starts].tolist())
    return rows, Inputs(keys, np.append(starts, len(keys)).astype(np.int64), names)


def by_input(table: pa.Table) -> tuple[pa.Table, dict[int, list[int]]]:
    """The columns of a set with a row for each input, that of its first image; and the other images of each.

    Args:
        table: A row for each image, with the column ``input``.
    """
    rows = table.sort_by([("input", "ascending"), ("place", "ascending")])
    keys, first = (rows.column(name).to_numpy() for name in ("key", "input"))
    others: dict[int, list[int]] = {}
    for key, of in zip(keys.tolist(), first.tolist(), strict=True):
        if key != of:
            others.setdefault(of, []).append(key)
    return rows.filter(pa.array(keys == first)), others


def _ahead(table: pa.Table, set_id: str, others: Mapping[int, list[int]] | None) -> Iterator[list[dict[str, Any]]]:
    """Batches of rows, each prepared while the engine works on the previous one."""
    with ThreadPoolExecutor(1, thread_name_prefix="odin projection") as pool:
        upcoming: Future[list[dict[str, Any]]] | None = None
        for start in range(0, table.num_rows, BATCH):
            ready, upcoming = upcoming, pool.submit(_rows, table.slice(start, BATCH), set_id, others)
            if ready is not None:
                yield ready.result()
        if upcoming is not None:
            yield upcoming.result()


def _rows(part: pa.Table, set_id: str, others: Mapping[int, list[int]] | None) -> list[dict[str, Any]]:
    # By columns: ten times as fast as the row dicts of Arrow.
    names = ("key", "predicted", "confidence", "wrong")
    rows: list[dict[str, Any]] = [
        {"id": f"{set_id}:{key}", "key": key, "predicted": predicted, "confidence": confidence, "wrong": wrong}
        for key, predicted, confidence, wrong in zip(*(part.column(name).to_pylist() for name in names), strict=True)
    ]
    return rows if others is None else [{**row, "others": others.get(row["key"], [])} for row in rows]


def columns_of(stores: Stores, set_id: str) -> pa.Table | None:
    """All columns of a set by key, also of one that is still being built; None if it has none yet."""
    segments = segments_of(stores, f"PredictionSet/{set_id}/columns")
    if not segments:
        return None
    return pa.concat_tables([stores.arrays.read_table(segment) for segment in segments]).sort_by("key")


def to_graph(stores: Stores, set_id: str) -> None:
    """Add the nodes to a ready set that was made without them.

    They are written under a stand-in in state ``building``, which replaces the set in one last transaction: a
    reader of ready sets sees all of the nodes or none.

    Raises:
        UnknownNameError: There is no such ready set.
        ConflictError: A live process is adding them.
    """
    rows = stores.graph.read(
        f"MATCH (s:PredictionSet {{id: $id}}) WHERE {alive('PredictionSet', 's')} RETURN s.nodes AS nodes",
        {"id": set_id},
    )
    if not rows:
        known = stores.graph.read(f"MATCH (s:PredictionSet) WHERE {alive('PredictionSet', 's')} RETURN s.id AS id")
        raise UnknownNameError.of("ready prediction set", set_id, [row["id"] for row in known])
    if rows[0]["nodes"]:
        return
    stand_in = f"{set_id}/nodes"
    resumed = not _make_stand_in(stores, stand_in)
    with leases.acquire(stores.graph, "PredictionSet", stand_in) as lease:
        project(stores, set_id, stand_in, lease, resumed=resumed)
        stores.graph.execute(lambda tx: _replace_set(tx, lease, stand_in, set_id))


def project_again(stores: Stores, set_id: str) -> None:
    """Write the nodes of a ready set again from its columns, in place of the existing ones."""
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
    except ConflictError:  # left by an earlier call: continue with it
        return False
    return True


def _replace_set(tx: Transaction, lease: Lease, stand_in: str, set_id: str) -> None:
    lease.check(tx)
    ends = tx.run(_EDGES, {"id": set_id})[0]
    (row,) = tx.run("MATCH (s:PredictionSet {id: $id}) RETURN properties(s) AS own", {"id": set_id})
    tx.run("MATCH (s:PredictionSet {id: $id}) DETACH DELETE s", {"id": set_id})
    creations.forget(tx, "PredictionSet", stand_in)  # of an older workspace; the set keeps its own
    own = {**row["own"], "nodes": True}
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
    projected = np.array([int(id_.removeprefix(prefix)) for id_ in ids], np.int64)
    by = "input" if "input" in table.column_names else "key"
    return table.filter(pa.array(~np.isin(table.column(by).to_numpy(), projected)))
