"""The kinds of things that queries read beside images: models, experiments, checkpoints, data sets, prediction sets.

They are few, thousands and not millions, so that the fields that a query reads are read whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from odin_graph.catalog.records.deletion import HAVE_STATE
from odin_graph.columns.fields import column
from odin_graph.columns.fields import fields as recorded
from odin_graph.graph.moment import Reader
from odin_graph.graph.writer import quoted
from odin_graph.schema.metadata import KINDS as DESCRIBED
from odin_graph.schema.metadata import FieldType

_TEXT, _NUMBER, _TIME, _WORDS = FieldType.STRING, FieldType.INT, FieldType.DATETIME, FieldType.STRINGS


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be asked of the things of one label, beside free metadata and computed fields."""

    label: str
    own: Mapping[str, FieldType]
    """Properties of ours."""
    links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Fields that are the id of another thing ``x``, by the pattern that leads to it from ``i``."""
    order: str = "i.created_at, i.id"
    """In which they come: the oldest first."""
    datasets: str = ""
    """The pattern from ``i`` to the data sets ``d`` whose members it is about, over an edge ``u``; empty if none."""

    @property
    def alive(self) -> str:
        """The condition in Cypher that it is ready, and not deleted."""
        return "i.deleted IS NULL" + (" AND i.state = 'ready'" if self.label in HAVE_STATE else "")


_STACK: Final = {"id": _TEXT, "size": _NUMBER, "dtype": _TEXT, "digest": _TEXT, "created_at": _TIME}

KINDS: Final[Mapping[str, Kind]] = {
    kind.label: kind
    for kind in (
        Kind(
            "Dataset",
            {
                "id": _TEXT,
                "base": _TEXT,
                "version": _NUMBER,
                "size": _NUMBER,
                "digest": _TEXT,
                "label_field": _TEXT,
                "tags": _WORDS,
                "frozen_at": _TIME,
            },
            order="i.base, i.version",
            datasets="(i:Dataset) WITH i, i AS d, null AS u",
        ),
        Kind("Volume", _STACK),
        Kind("Video", {**_STACK, "fps": FieldType.FLOAT}),
        Kind(
            "Model",
            {"id": _TEXT, "task": _TEXT, "parameters": _NUMBER, "digest": _TEXT, "created_at": _TIME},
            datasets="(i:Model)<-[:USED]-(:Experiment)-[u:USED]->(d:Dataset)",
        ),
        Kind(
            "Experiment",
            {
                "id": _TEXT,
                "state": _TEXT,
                "seed": _NUMBER,
                "group": _TEXT,
                "tags": _WORDS,
                "commit": _TEXT,
                "started_at": _TIME,
                "finished_at": _TIME,
            },
            {"model": "(i)-[:USED]->(x:Model)", "informed_by": "(i)-[:INFORMED_BY]->(x:Experiment)"},
            order="i.started_at, i.id",
            datasets="(i:Experiment)-[u:USED]->(d:Dataset)",
        ),
        Kind(
            "Checkpoint",
            {
                "id": _TEXT,
                "weights": _TEXT,
                "epoch": _NUMBER,
                "step": _NUMBER,
                "best": FieldType.BOOL,
                "created_at": _TIME,
            },
            {"experiment": "(i)-[:GENERATED_BY]->(x:Experiment)", "model": "(i)-[:SPECIALIZATION_OF]->(x:Model)"},
            datasets="(i:Checkpoint)-[:GENERATED_BY]->(:Experiment)-[u:USED]->(d:Dataset)",
        ),
        Kind(
            "PredictionSet",
            {"id": _TEXT, "number": _NUMBER, "rows": _NUMBER, "task": _TEXT, "created_at": _TIME},
            {
                "experiment": "(i)-[:GENERATED_BY]->(x:Experiment)",
                "dataset": "(i)-[:OF]->(x:Dataset)",
                "checkpoint": "(i)-[:DERIVED_FROM]->(x:Checkpoint)",
            },
            datasets="(i:PredictionSet)-[u:OF]->(d:Dataset)",
        ),
        Kind(
            "ActivationSet",
            {"id": _TEXT, "layer": _TEXT, "pooling": _TEXT, "created_at": _TIME},
            {"checkpoint": "(i)-[:DERIVED_FROM]->(x:Checkpoint)"},
        ),
    )
}
"""By label."""


def fields_of(at: Reader, kind: str) -> dict[str, FieldType]:
    """Every field of a kind that is stored, with its type: properties of ours, links, then free metadata by name."""
    held = KINDS[kind]
    free = recorded(at, kind) if kind in DESCRIBED else {}
    return {**held.own, **dict.fromkeys(held.links, _TEXT), **{name: free[name] for name in free if name != "id"}}


def read_things(at: Reader, kind: str, names: Sequence[str]) -> pa.Table:
    """The things of a kind that are ready and not deleted, in their order.

    Args:
        at: The graph, or a moment of it.
        kind: Their label.
        names: Stored fields of theirs.

    Returns:
        ``key``, the row's number, and the fields.
    """
    held, types = KINDS[kind], fields_of(at, kind)
    wanted = [name for name in dict.fromkeys(["id", *names]) if name not in held.links]
    values = ", ".join(f"i.{quoted(name)}" for name in wanted)
    (answer,) = at.read(
        f"MATCH (i:{kind}) WHERE {held.alive} WITH i ORDER BY {held.order} RETURN collect([{values}]) AS rows"
    )
    rows: Sequence[Sequence[Any]] = answer["rows"]
    columns = list(zip(*rows, strict=True)) or [()] * len(wanted)
    table = {name: column(said, types[name]) for name, said in zip(wanted, columns, strict=True)}
    for name in names:
        if name in held.links:
            found = {row["id"]: row["to"] for row in at.read(link_text(kind, name))}
            table[name] = pa.array([found.get(row[0]) for row in rows], pa.string())
    return pa.table({"key": pa.array(np.arange(len(rows))), **table})


def link_text(kind: str, name: str) -> str:
    """The statement that gives ``id`` and ``to`` of every thing that has the link."""
    return f"MATCH (i:{kind}) MATCH {KINDS[kind].links[name]} RETURN i.id AS id, min(x.id) AS to"
