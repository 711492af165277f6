"""Properties of nodes have the right form: dates, and texts that contain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.graph.kinds import added_kinds
from odin_graph.schema.kinds import undeleted
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
_JSON: Final = (
    ("Dataset", "query"),
    ("View", "query"),
    ("Experiment", "parameters"),
    ("Experiment", "packages"),
    ("NodeKind", "definition"),
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


def check_texts(stores: Stores) -> Iterator[Fault]:
    """Check that texts with JSON can be parsed."""
    for label, name in _JSON:
        rows = stores.graph.read(f"MATCH (n:{label}) WHERE n.{name} IS NOT NULL RETURN n.id AS id, n.{name} AS text")
        if invalid := [repr(row["id"]) for row in rows if not _is_json(row["text"])]:
            yield Fault(f"{label} nodes", f"{len(invalid)} have a {name} that is not JSON, {shown(invalid)}.", _RESTORE)


def _is_json(text: object) -> bool:
    try:
        return isinstance(text, str) and json.loads(text) is not None
    except ValueError:
        return False
