"""Properties of nodes have the right form: their type, dates, texts that contain JSON, and ids of versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from neomodel import ArrayProperty, BooleanProperty, FloatProperty, IntegerProperty, StringProperty
from neomodel.properties import Property

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.graph.kinds import added_kinds
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.nodes import NODES
from odin_graph.schema.properties import JsonProperty
from odin_graph.stores import Stores

_DATES: Final = {
    **dict.fromkeys(("Image", "Model", "Checkpoint", "PredictionSet", "ActivationSet", "VectorSet"), ("created_at",)),
    **dict.fromkeys(("VectorIndex", "Volume", "Video", "Segment", "View", "Token"), ("created_at",)),
    **dict.fromkeys(("LabelChange", "Deletion"), ("created_at", "at")),
    "Dataset": ("created_at", "frozen_at"),
    "Experiment": ("started_at", "finished_at"),
}
_DATED: Final = {
    "frozen_at": ("ready",),
    "started_at": ("running", "finished", "failed", "interrupted"),
    "finished_at": ("finished", "failed"),
}
"""The states in which a node must have the date."""
_EARLIEST: Final = datetime(1900, 1, 1)  # noqa: DTZ001 - without a zone, as dates are stored
_MANY: Final = ("Image", "Crop", "Prediction")
"""Labels of so many nodes that only a deep look reads them."""
_TYPES: Final[Mapping[type[Property[Any]], Callable[[Any], bool]]] = {
    JsonProperty: lambda value: _is_json(value),
    StringProperty: lambda value: isinstance(value, str),
    BooleanProperty: lambda value: isinstance(value, bool),
    IntegerProperty: lambda value: isinstance(value, int) and not isinstance(value, bool),
    FloatProperty: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    ArrayProperty: lambda value: isinstance(value, list),
}
_NUMBERED: Final = {"Dataset": "n.base + '@' + toString(n.version)", "View": "n.base + '@' + toString(n.version)"}
"""The id of a node by its other properties."""
_OPERATIONS: Final = (
    "MATCH (i:Image)-[e:DERIVED_FROM]->() WHERE e.params IS NOT NULL RETURN i.id AS id, e.op AS op, e.params AS params"
)
_RESTORE: Final = "Restore the graph from a backup, and look for a client that changes nodes of ours."


def check_dates(stores: Stores) -> Iterator[Fault]:
    """Check the dates of each node. In Cypher a value that is not a date is neither before nor after one."""
    added = dict.fromkeys(added_kinds(stores.graph), ("created_at",))
    for label, name in ((label, name) for label, names in {**_DATES, **added}.items() for name in names):
        state = "AND n.state IN $states " if name in _DATED else ""
        rows = stores.graph.read(
            f"MATCH (n:{label}) WHERE {undeleted()} {state}AND NOT coalesce(n.{name} > $earliest, false) "
            "RETURN n.id AS id LIMIT 1000",
            {"earliest": _EARLIEST, "states": list(_DATED.get(name, ()))},
        )
        if rows:
            ids = shown(repr(row["id"]) for row in rows)
            yield Fault(f"{label} nodes", f"{len(rows)} have no date as {name}, {ids}.", _RESTORE)


def check_types(stores: Stores, *, deep: bool = False) -> Iterator[Fault]:
    """Check that each property of ours has its type; of images and predictions only ``deep``."""
    for node in NODES:
        label = node.__label__
        if label in _MANY and not deep:
            continue
        fits = {
            prop.get_db_property_name(name): _TYPES[type(prop)]
            for name, prop in node.__all_properties__
            if type(prop) in _TYPES
        }
        names = ", ".join(f"n.{quoted(name)}" for name in fits)
        wrong: dict[str, list[str]] = {}
        for rows in stores.graph.stream(f"MATCH (n:{label}) RETURN n.id AS id, [{names}] AS values"):
            for row in rows:
                for (name, is_fit), value in zip(fits.items(), row["values"], strict=True):
                    if value is not None and (not is_fit(value) or (name == "deleted" and value is False)):
                        wrong.setdefault(name, []).append(repr(row["id"]))
        for name, ids in wrong.items():
            yield Fault(f"{label} nodes", f"{len(ids)} have a {name} that cannot be one, {shown(ids)}.", _RESTORE)


def check_versions(stores: Stores) -> Iterator[Fault]:
    """Check that the id of a version is that of its thing and its number."""
    for label, id_ in _NUMBERED.items():
        rows = stores.graph.read(f"MATCH (n:{label}) WHERE n.id <> {id_} RETURN n.id AS id LIMIT 1000")
        if rows:
            ids = shown(repr(row["id"]) for row in rows)
            yield Fault(f"{label} nodes", f"{len(rows)} have another base or version than their id, {ids}.", _RESTORE)


def check_operations(stores: Stores) -> Iterator[Fault]:
    """Check that the operation that made an image, and its parameters, can be read."""
    invalid = [
        repr(row["id"])
        for rows in stores.graph.stream(_OPERATIONS)
        for row in rows
        if row["op"] is None or not _is_json(row["params"])
    ]
    if invalid:
        yield Fault(
            "images",
            f"{len(invalid)} have an edge DERIVED_FROM that says no operation with its parameters, {shown(invalid)}.",
            _RESTORE,
        )


def _is_json(text: object) -> bool:
    try:
        return isinstance(text, str) and json.loads(text) is not None
    except ValueError:
        return False
