"""Which labels of a data set version differ from the current ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.catalog.images.labels import same_label
from odin_graph.graph.moment import Moment
from odin_graph.stores import Stores

_FIELD = "MATCH (d:Dataset {id: $id}) RETURN d.label_field AS field"
_BY_HAND = """
MATCH (d:Dataset {id: $id}) OPTIONAL MATCH (d)-[:DERIVED_FROM|REVISION_OF*1..]->(before:Dataset)
RETURN d.odin_given AS given, count(before) AS origins, count(before.odin_given) AS given_origins
"""


def stale_labels(stores: Stores, dataset: str) -> pa.Table:
    """Columns ``key``, ``frozen`` and ``today`` of the current members whose label has changed since.

    Empty if the labels were given by hand and no member has a value of the label field. If the version was labeled by
    the field, or made from one that was, all of them are stale then.
    """
    at = stores.graph.moment()
    members = stores.columns.present(stores.columns.members(dataset, at), at)
    frozen, keys = members.column("label").combine_chunks(), members.column("key").to_numpy()
    field = next((row["field"] for row in at.read(_FIELD, {"id": dataset})), None)
    empty = pa.table({"key": members.column("key"), "frozen": frozen, "today": frozen}).slice(0, 0)
    if field is None:
        return empty
    today = pa.nulls(len(frozen), frozen.type)
    if field in stores.columns.fields("Image", at):
        images = stores.columns.images([field], keys, at)
        today = images.column(field).take(pc.index_in(members.column("key"), images.column("key"))).combine_chunks()
        if pa.types.is_dictionary(today.type):
            today = today.dictionary_decode()
    if today.null_count == len(today) and _is_by_hand(at, dataset):
        return empty
    if today.type == frozen.type and not pa.types.is_nested(today.type):
        same = pc.or_kleene(pc.equal(frozen, today), pc.and_(pc.is_null(frozen), pc.is_null(today)))
        differ = pc.invert(pc.fill_null(same, False))
    else:
        pairs = zip(frozen.to_pylist(), today.to_pylist(), strict=True)
        differ = pa.array(np.array([not same_label(a, b) for a, b in pairs], bool))
    return pa.table({"key": members.column("key"), "frozen": frozen, "today": today}).filter(differ)


def _is_by_hand(at: Moment, dataset: str) -> bool:
    """Whether the labels of a version, and of all versions that it was made from, were given by hand."""
    (row,) = at.read(_BY_HAND, {"id": dataset})
    return bool(row["given"]) and row["origins"] == row["given_origins"]
