"""Rows of images from the graph, as Arrow columns by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.columns.fields import column
from odin_graph.graph import Graph
from odin_graph.graph.export import ROWS, Part, of_keys
from odin_graph.graph.writer import batches
from odin_graph.schema.metadata import FieldType

LOOK_UP_COST: Final = 4
"""Images that a scan reads in the time of one look-up by key (measured: 2 to 5 on either engine)."""

Types = dict[str, FieldType]
Keys = NDArray[np.int64]


def read_all(graph: Graph, types: Types) -> pa.Table:
    """All images that are not deleted, sorted by key."""
    return _joined(graph.export("Image", types, lambda part: table_of(part, types)), types)


def read_keys(graph: Graph, keys: Keys, types: Types) -> pa.Table:
    """These images, without the deleted ones, sorted by key."""
    # By look-ups also where keys have no gap: ArcadeDB scans all images for a range of keys.
    parts = [
        table_of(of_keys(graph, "Image", [*types], np.asarray(part, np.int64)), types)
        for part in batches(np.unique(keys).tolist(), ROWS)
    ]
    return _joined(parts, types)


def read_deleted(graph: Graph) -> pa.Table:
    """The column ``key`` of all deleted images, sorted."""
    # One clause a step, so that ArcadeDB begins at the deletions, which are few.
    statement = (
        "MATCH (x:Deletion) MATCH (x)<-[:INVALIDATED_BY]-(i:Image) WHERE i.deleted = true "
        "RETURN collect(DISTINCT i.key) AS keys"
    )
    return _sorted(graph.read(statement)[0]["keys"])


def read_deleted_of(graph: Graph, keys: Keys) -> pa.Table:
    """The same of these images."""
    statement = "UNWIND $keys AS key MATCH (i:Image {key: key}) WHERE i.deleted = true RETURN collect(key) AS keys"
    parts = batches(np.unique(keys).tolist(), ROWS)
    return _sorted([key for part in parts for key in graph.read(statement, {"keys": part})[0]["keys"]])


def table_of(part: Part, types: Types) -> pa.Table:
    """Columns that come from the graph as those of Arrow."""
    return pa.table({name: column(part[name], field) for name, field in types.items()})


def _joined(parts: Sequence[pa.Table], types: Types) -> pa.Table:
    nothing = table_of({name: [] for name in types}, types)
    return pa.concat_tables([nothing, *parts]).sort_by("key").combine_chunks()


def _sorted(keys: Sequence[int]) -> pa.Table:
    return pa.table({"key": pa.array(np.sort(np.array(keys, np.int64)))})
