"""Creations of things: made and removed in the transaction that makes or removes the thing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches
from odin_graph.schema.properties import now

# MERGE: what another client deleted may be made again.
_RECORD: Final = (
    "MERGE (c:Creation {id: $id}) ON CREATE SET c.kind = $label, c.thing = $thing, c.created_at = $at RETURN c.id AS id"
)
_FORGET: Final = "MATCH (c:Creation {id: $id}) DELETE c"


def record(tx: Transaction, label: str, id: str) -> None:  # noqa: A002 - the users' word for it
    """Record that a thing was made."""
    tx.run(_RECORD, {"id": f"{label} {id}", "label": label, "thing": id, "at": now()})


def record_all(tx: Transaction, label: str, ids: Sequence[str]) -> None:
    """Record that several things were made."""
    for part in batches([{"id": f"{label} {id_}", "thing": id_} for id_ in ids]):
        tx.run(
            "UNWIND $rows AS r MERGE (c:Creation {id: r.id}) "
            "ON CREATE SET c.kind = $label, c.thing = r.thing, c.created_at = $at",
            {"rows": part, "label": label, "at": now()},
        )


def forget(tx: Transaction, label: str, id: str) -> None:  # noqa: A002
    """Remove the record of a thing whose node is removed for good; a tombstone keeps its record."""
    tx.run(_FORGET, {"id": f"{label} {id}"})
