"""The members of data set versions in the graph: from the arrays, as chunks of keys and labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.graph.connection import Graph
from odin_graph.graph.transaction import Transaction
from odin_graph.schema.member_chunk import SPAN
from odin_graph.schema.metadata import encode

_AT_ONCE: Final = 400
"""Chunks in one transaction."""
_FEW: Final = 8
"""Keys of one chunk that are looked up by the engine; for more, the chunk is read. ArcadeDB takes 25 ms to look up 256
keys in a chunk, and 1 ms to send it."""
_DRAW: Final = """
MATCH (d:Dataset {id: $id}) UNWIND $rows AS r
CREATE (d)<-[:PART_OF]-(:MemberChunk {id: r.id, number: r.number, keys: r.keys, labels: r.labels, starts: r.starts})
"""
_IDS: Final = "MATCH (d:Dataset {id: $id})<-[:PART_OF]-(c:MemberChunk) RETURN c.id AS id, c.number AS number"
_REMOVE: Final = "UNWIND $ids AS id MATCH (c:MemberChunk {id: id}) DETACH DELETE c"


def chunks_of(dataset: str, members: pa.Table, numbers: Collection[int] | None = None) -> Iterator[dict[str, Any]]:
    """The chunks of a version, as the properties of their nodes, in the order of their numbers.

    Args:
        dataset: The version's id.
        members: ``key`` and ``label``.
        numbers: The ranges to make chunks of; by default all.
    """
    keys = members.column("key").to_numpy()
    labels = members.column("label").combine_chunks()
    if pa.types.is_dictionary(labels.type):
        labels = labels.dictionary_decode()
    if numbers is not None:
        chosen = np.flatnonzero(np.isin(keys // SPAN, list(numbers)))
        keys, labels = keys[chosen], labels.take(pa.array(chosen))
    if not len(keys):
        return
    unlabeled = pc.is_null(labels, nan_is_null=True).to_numpy(zero_copy_only=False)
    order = np.lexsort((keys, unlabeled, keys // SPAN))
    keys, labels, unlabeled = keys[order], labels.take(pa.array(order)), unlabeled[order]
    kinds = keys // SPAN * 2 + unlabeled
    bounds = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(keys)]
    for start, end in pairwise(bounds):
        number = int(keys[start]) // SPAN
        row = {"id": f"{dataset}:{number}", "number": number, "keys": keys[start:end].tolist()}
        if unlabeled[start]:
            yield {**row, "id": f"{row['id']}:unlabeled"}
        else:
            yield {**row, **_labels(labels[start:end])}


def draw_chunks(
    graph: Graph, dataset: str, members: pa.Table, check: Callable[[Transaction], None] = lambda _: None
) -> None:
    """Create the chunks of a version that are missing.

    Args:
        graph: The graph of the workspace.
        dataset: The version's id.
        members: ``key`` and ``label``.
        check: Called in each transaction; raises where the caller has lost the right to write.
    """
    existing = {row["id"] for row in graph.read(_IDS, {"id": dataset})}
    missing: list[dict[str, Any]] = []

    def draw(tx: Transaction) -> None:
        check(tx)
        tx.run(_DRAW, {"id": dataset, "rows": missing})

    for chunk in chunks_of(dataset, members):
        if chunk["id"] not in existing:
            missing.append(chunk)
        if len(missing) == _AT_ONCE:
            graph.execute(draw)
            missing = []
    if missing:
        graph.execute(draw)


def redraw_chunks(graph: Graph, dataset: str, members: pa.Table, numbers: Collection[int] | None = None) -> None:
    """Create the chunks of a version, or those of these ranges, in place of what is there.

    Readers see a range either as it was or as it is now.
    """
    wanted = set(numbers) if numbers is not None else None
    old: dict[int, list[str]] = {}
    for row in graph.read(_IDS, {"id": dataset}):
        if wanted is None or row["number"] in wanted:
            old.setdefault(row["number"], []).append(row["id"])
    new: dict[int, list[dict[str, Any]]] = {}
    for chunk in chunks_of(dataset, members, wanted):
        new.setdefault(chunk["number"], []).append(chunk)
    ranges = [*old, *(number for number in new if number not in old)]
    for at in range(0, len(ranges), _AT_ONCE):
        part = ranges[at : at + _AT_ONCE]
        ids = [id_ for number in part for id_ in old.get(number, ())]
        rows = [chunk for number in part for chunk in new.get(number, ())]

        def swap(tx: Transaction, ids: list[str] = ids, rows: list[dict[str, Any]] = rows) -> None:
            tx.run(_REMOVE, {"ids": [*ids, *(row["id"] for row in rows)]})
            tx.run(_DRAW, {"id": dataset, "rows": rows})

        graph.execute(swap)


def versions_with(
    run: Callable[[str, dict[str, Any]], Any], keys: Collection[int] | NDArray[np.int64], condition: str = "true"
) -> dict[str, NDArray[np.int64]]:
    """The versions that contain any of the images, by id, each with the keys of those.

    Args:
        run: Of a graph, a moment or a transaction: runs a statement.
        keys: The images.
        condition: On the version ``d``, in Cypher.
    """
    asked = np.unique(np.asarray(keys if isinstance(keys, np.ndarray) else list(keys), np.int64))
    found: dict[str, list[NDArray[np.int64]]] = {}
    parts = np.split(asked, np.flatnonzero(np.diff(asked // SPAN)) + 1) if len(asked) else []
    text = (
        f"UNWIND $rows AS r MATCH (c:MemberChunk {{number: r[0]}})-[:PART_OF]->(d:Dataset) WHERE {condition} "
        f"WITH d, r[1] AS asked, c.keys AS keys RETURN d.id AS id, "
        f"CASE WHEN size(asked) > {_FEW} THEN keys ELSE [key IN asked WHERE key IN keys] END AS keys"
    )
    for at in range(0, len(parts), _AT_ONCE):
        rows = [[int(part[0]) // SPAN, part.tolist()] for part in parts[at : at + _AT_ONCE]]
        for row in run(text, {"rows": rows}):
            if row["keys"]:
                found.setdefault(row["id"], []).append(np.asarray(row["keys"], np.int64))
    held = {id_: np.intersect1d(np.concatenate(several), asked) for id_, several in sorted(found.items())}
    return {id_: own for id_, own in held.items() if len(own)}


def _labels(labels: pa.Array) -> dict[str, Any]:
    if pa.types.is_list(labels.type) or pa.types.is_large_list(labels.type):
        lists = labels.to_pylist()
        return {
            "labels": [encode(label, name="label") for several in lists for label in several],
            "starts": [0, *np.cumsum([len(several) for several in lists]).tolist()],
        }
    values = labels.to_pylist()
    if pa.types.is_temporal(labels.type):
        values = [encode(value, name="label") for value in values]
    return {"labels": values}
