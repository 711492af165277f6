"""Labels: the current label is that of the last correction, and frozen labels differ from it only by corrections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.images.labels import history, same_label
from odin_graph.catalog.records.fields import recorded_types
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType, convert, decode
from odin_graph.stores import Stores

_CORRECTED = f"MATCH (:LabelChange)-[:OF]->(i:Image) WHERE {alive('Image', 'i')} RETURN DISTINCT i.key AS key"
_TODAY = "UNWIND $keys AS key MATCH (i:Image {key: key}) RETURN i.key AS key, i.id AS id, i.label AS label"
_FROZEN = f"""
MATCH (d:Dataset {{label_field: 'label'}}) WHERE {alive("Dataset", "d")} AND d.odin_given IS NULL RETURN d.id AS id
"""
_REMEDY = "Set the label that is right with db.labels.update, which keeps who changed it and when."


def check_labels(stores: Stores) -> Iterator[Fault]:
    """Find labels that were changed without odin_graph, and so have no history."""
    keys = np.array([row["key"] for row in stores.graph.read(_CORRECTED)], np.int64)
    today = {row["id"]: decode(row["label"]) for row in stores.graph.read(_TODAY, {"keys": keys.tolist()})}
    last = {change.image: change for change in history(stores, keys)}
    type_ = recorded_types(stores.graph, "Image").get("label")
    foreign = {id_ for id_, change in last.items() if id_ in today and not _same(change.after, today[id_], type_)}
    foreign |= set(_unexplained(stores, set(last), type_))
    if foreign:
        ids = shown(map(repr, sorted(foreign)))
        yield Fault(
            "labels",
            f"{len(foreign)} images have a label that no correction explains, first {ids}.",
            _REMEDY,
        )


def _unexplained(stores: Stores, corrected: set[str], type_: FieldType | None) -> Iterator[str]:
    """Images without any correction whose label differs from a frozen one."""
    images = stores.columns.images(["id", "label"])
    ids, labels = images.column("id").to_pylist(), images.column("label").to_pylist()
    position_by_key = {key: position for position, key in enumerate(images.column("key").to_pylist())}
    for row in stores.graph.read(_FROZEN):
        members = stores.columns.members(row["id"])
        for key, frozen in zip(members.column("key").to_pylist(), members.column("label").to_pylist(), strict=True):
            position = position_by_key.get(key)
            if position is not None and ids[position] not in corrected and not _same(frozen, labels[position], type_):
                yield ids[position]


def _same(before: Any, today: Any, type_: FieldType | None) -> bool:
    """Whether two labels are equal, even if the type of labels has changed in between."""
    if same_label(before, today):
        return True
    try:
        return type_ is not None and same_label(convert(before, type_), today)
    except (ValueError, OverflowError):
        return False
