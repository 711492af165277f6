"""Data set versions: members and digests are as they were frozen."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pyarrow as pa

from odin_graph.catalog.datasets.datasets import BROWSED, draw_edges, members_array
from odin_graph.catalog.datasets.frozen import content_digest
from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.images.labels import same_label
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import StoreError
from odin_graph.graph.member_chunks import chunks_of, redraw_chunks
from odin_graph.schema.kinds import alive, undeleted
from odin_graph.schema.metadata import decode, encode
from odin_graph.stores import Stores

_RESTORE: Final = "Restore the arrays from a backup, or make a new version of the data set."
_REDRAW: Final = "`odin doctor --repair` draws them again; look for a client that changes nodes and edges of ours."
_DIGESTS: Final = "MATCH (i:Image) RETURN i.key AS key, i.digest AS digest"
_CHUNKS: Final = "MATCH (:Dataset {id: $id})<-[:PART_OF]-(c:MemberChunk) RETURN properties(c) AS own"
_EDGES: Final = "MATCH (:Dataset {id: $id})-[m:HAD_MEMBER]->(i:Image) RETURN i.key AS key, m.label AS label"


# A subset has its query twice: on its node, and on the edge to the data set that it is a subset of.
_QUERIES = f"""
MATCH (d:Dataset)-[e:DERIVED_FROM]->(:Dataset)
WHERE {undeleted("d")} AND coalesce(d.query, '') <> coalesce(e.query, '') RETURN d.id AS id
"""


def check_datasets(stores: Stores) -> Iterator[Fault]:
    """Order, labels, chunks and edges of each ready version agree with its digest, and the query with its edge."""
    for row in stores.graph.read(_QUERIES):
        yield Fault(
            f"data set {row['id']!r}",
            "Its query is not the one on its edge DERIVED_FROM.",
            "Restore the graph from a backup, and look for a client that changes nodes of ours.",
        )
    versions = stores.graph.read(
        f"MATCH (d:Dataset) WHERE {alive('Dataset', 'd')} RETURN d.id AS id, d.digest AS digest, d.size AS size"
    )
    if not versions:
        return
    digests = {row["key"]: row["digest"] for rows in stores.graph.stream(_DIGESTS) for row in rows}
    for row in versions:
        thing = f"data set {row['id']!r}"
        segments = segments_of(stores, members_array(row["id"]))
        if len(segments) != 1:
            yield Fault(thing, f"It has {len(segments)} lists of members, not one.", _RESTORE)
            continue
        try:
            members = stores.arrays.read_table(segments[0])
        except (StoreError, OSError) as error:
            yield Fault(thing, f"Its list of members cannot be read: {error}", _RESTORE)
            continue
        keys = members.column("key").to_pylist()
        if missing := [key for key in keys if key not in digests]:
            yield Fault(thing, f"{len(missing)} of its members have no node, first key {missing[0]}.", _RESTORE)
            continue
        if len(keys) != row["size"]:
            yield Fault(thing, f"It has {len(keys)} members, and {row['size']} were frozen.", _RESTORE)
        yield from _check_chunks(stores, row["id"], members)
        yield from _check_edges(stores, row["id"], members)
        own = [digests[key] for key in keys]
        if None in own:  # an image was purged: the digest of the version cannot be computed
            continue
        if content_digest(own, members.column("label").to_pylist()) != row["digest"]:
            yield Fault(thing, "Its members or labels are not what was frozen: the digest differs.", _RESTORE)


def _check_chunks(stores: Stores, dataset: str, members: pa.Table) -> Iterator[Fault]:
    found = [row["own"] for row in stores.graph.read(_CHUNKS, {"id": dataset})]
    chunks = {chunk["id"]: chunk for chunk in found}
    expected = 0
    bad = [] if len(found) == len(chunks) else ["one that is there twice"]
    for chunk in chunks_of(dataset, members):
        expected += 1
        if not _same_chunk(chunk, chunks.get(chunk["id"], {})):
            bad.append(repr(chunk["id"]))
    if bad or len(chunks) != expected:
        listed = f": {shown(bad)}" if bad else ""
        yield Fault(
            f"data set {dataset!r}",
            f"Its {len(found)} chunks of members in the graph are not what was frozen, which makes {expected}{listed}.",
            _REDRAW,
            partial(_redraw_chunks, stores, dataset, members),
        )


def _same_chunk(expected: dict[str, Any], found: dict[str, Any]) -> bool:
    if any(expected.get(name) != found.get(name) for name in ("number", "keys", "starts")):
        return False
    labels, others = expected.get("labels") or [], found.get("labels") or []
    return len(labels) == len(others) and all(
        same_label(label, decode(other)) for label, other in zip(labels, others, strict=True)
    )


def _check_edges(stores: Stores, dataset: str, members: pa.Table) -> Iterator[Fault]:
    """Check the edges to the members; large versions have none, unless they are from before there were chunks."""
    edges = stores.graph.read(_EDGES, {"id": dataset})
    if not edges and members.num_rows > BROWSED:
        return
    drawn = {edge["key"]: decode(edge["label"]) for edge in edges}
    mend = partial(_redraw_edges, stores, dataset, members)
    if len(edges) != len(drawn) or drawn.keys() != set(members.column("key").to_pylist()):
        yield Fault(
            f"data set {dataset!r}",
            f"Its {len(edges)} HAD_MEMBER edges are not the {members.num_rows} members that were frozen.",
            _REDRAW,
            mend,
        )
    elif number := _relabeled(members, drawn):
        yield Fault(
            f"data set {dataset!r}",
            f"{number} of its HAD_MEMBER edges have another label than was frozen.",
            _REDRAW,
            mend,
        )


def _relabeled(members: pa.Table, on_edges: dict[int, Any]) -> int:
    """How many edges differ from the frozen labels; 0 where none has a label, as those of older versions."""
    if all(label is None for label in on_edges.values()):
        return 0
    frozen = zip(members.column("key").to_pylist(), members.column("label").to_pylist(), strict=True)
    return sum(not same_label(encode(label), on_edges[key]) for key, label in frozen)


def _redraw_chunks(stores: Stores, dataset: str, members: pa.Table) -> str:
    redraw_chunks(stores.graph, dataset, members)
    return f"data set {dataset!r}: the chunks of its members were made again."


def _redraw_edges(stores: Stores, dataset: str, members: pa.Table) -> str:
    """Create the edges to the frozen members again, each once, also to deleted ones."""
    while stores.graph.write(
        "MATCH (:Dataset {id: $id})-[m:HAD_MEMBER]->() WITH m LIMIT 10000 DELETE m RETURN 1 AS one LIMIT 1",
        {"id": dataset},
    ):
        pass
    draw_edges(stores, dataset, members)
    return f"data set {dataset!r}: the edges to its members were drawn again."
