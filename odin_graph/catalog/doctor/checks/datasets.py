"""Data set versions: members and digests are as they were frozen."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.catalog.datasets.datasets import draw_members, members_array
from odin_graph.catalog.datasets.frozen import content_digest
from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.images.labels import same_label
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import StoreError
from odin_graph.schema.kinds import alive, undeleted
from odin_graph.schema.metadata import decode, encode
from odin_graph.stores import Stores

_RESTORE = "Restore the arrays from a backup, or make a new version of the data set."


# A subset has its query twice: on its node, and on the edge to the data set that it is a subset of.
_QUERIES = f"""
MATCH (d:Dataset)-[e:DERIVED_FROM]->(:Dataset)
WHERE {undeleted("d")} AND coalesce(d.query, '') <> coalesce(e.query, '') RETURN d.id AS id
"""


def check_datasets(stores: Stores) -> Iterator[Fault]:
    """Order, labels and edges of each ready version agree with its digest, and the query with its edge."""
    for row in stores.graph.read(_QUERIES):
        yield Fault(
            f"data set {row['id']!r}",
            "Its query is not the one on its edge DERIVED_FROM.",
            "Restore the graph from a backup, and look for a client that changes nodes of ours.",
        )
    for row in stores.graph.read(
        f"MATCH (d:Dataset) WHERE {alive('Dataset', 'd')} RETURN d.id AS id, d.digest AS digest, d.size AS size"
    ):
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
        keys = members.column("key").to_numpy()
        edges = stores.graph.read(
            "MATCH (:Dataset {id: $id})-[m:HAD_MEMBER]->(i:Image) "
            "RETURN i.key AS key, i.digest AS digest, m.label AS label",
            {"id": row["id"]},
        )
        digests = {edge["key"]: edge["digest"] for edge in edges}
        if len(edges) != row["size"] or not np.array_equal(np.sort(keys), np.array(sorted(digests), np.int64)):
            yield Fault(
                thing,
                f"Its {len(edges)} HAD_MEMBER edges are not the {row['size']} members that were frozen.",
                "`odin doctor --repair` draws them again; look for a client that changes these edges.",
                partial(_redraw_members, stores, row["id"], members),
            )
            continue
        if number := _relabeled(members, {edge["key"]: decode(edge["label"]) for edge in edges}):
            yield Fault(
                thing,
                f"{number} of its HAD_MEMBER edges have another label than was frozen.",
                "`odin doctor --repair` draws them again; look for a client that changes these edges.",
                partial(_redraw_members, stores, row["id"], members),
            )
        if None in digests.values():  # an image was purged: the digest of the version cannot be computed
            continue
        if (
            content_digest([digests[key] for key in keys.tolist()], members.column("label").to_pylist())
            != row["digest"]
        ):
            yield Fault(thing, "Its members or labels are not what was frozen: the digest differs.", _RESTORE)


def _relabeled(members: pa.Table, on_edges: dict[int, Any]) -> int:
    """How many edges differ from the frozen labels; 0 where none has a label, as those of older versions."""
    if all(label is None for label in on_edges.values()):
        return 0
    frozen = zip(members.column("key").to_pylist(), members.column("label").to_pylist(), strict=True)
    return sum(not same_label(encode(label), on_edges[key]) for key, label in frozen)


def _redraw_members(stores: Stores, dataset: str, members: pa.Table) -> str:
    """Create the edges to the frozen members again, each once, also to deleted ones."""
    while stores.graph.write(
        "MATCH (:Dataset {id: $id})-[m:HAD_MEMBER]->() WITH m LIMIT 10000 DELETE m RETURN 1 AS one LIMIT 1",
        {"id": dataset},
    ):
        pass
    draw_members(stores, dataset, members)
    return f"data set {dataset!r}: the edges to its members were drawn again."
