"""The kinds of things that queries read beside images: models, experiments, checkpoints, data sets, prediction sets.

They are few, thousands and not millions, so that a query reads whole columns of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.columns.fields import column
from odin_graph.columns.fields import fields as recorded
from odin_graph.errors import UnknownNameError
from odin_graph.graph.kinds import kind_of, kinds_of
from odin_graph.graph.moment import Reader
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import Kind
from odin_graph.schema.metadata import FieldType


def fields_of(at: Reader, kind: str) -> dict[str, FieldType]:
    """Every field of a kind that is stored, with its type: properties of ours, links, then free metadata by name."""
    entry = _read_whole(at, kind)
    free = recorded(at, kind) if entry.metadata else {}
    ours = {**entry.own, **dict.fromkeys(entry.link_patterns, FieldType.STRING)}
    return {**ours, **{name: free[name] for name in free if name not in ours}}


def read_things(at: Reader, kind: str, names: Sequence[str]) -> pa.Table:
    """The things of a kind that are ready and not deleted, in their order.

    Args:
        at: The graph, or a moment of it.
        kind: Their label.
        names: Stored fields of theirs.

    Returns:
        ``key``, the row's number, and the fields.
    """
    entry, types = _read_whole(at, kind), fields_of(at, kind)
    patterns = entry.link_patterns
    wanted = [name for name in dict.fromkeys(["id", *names]) if name not in patterns]
    values = ", ".join(f"i.{quoted(name)}" for name in wanted)
    (answer,) = at.read(
        f"MATCH (i:{kind}) WHERE {entry.alive('i')} WITH i ORDER BY {entry.order} RETURN collect([{values}]) AS rows"
    )
    rows: Sequence[Sequence[Any]] = answer["rows"]
    columns = list(zip(*rows, strict=True)) or [()] * len(wanted)
    table = {name: column(cells, types[name]) for name, cells in zip(wanted, columns, strict=True)}
    for name in names:
        if name in patterns:
            found = {row["id"]: row["to"] for row in at.read(link_text(entry, name))}
            table[name] = pa.array([found.get(row[0]) for row in rows], pa.string())
    return pa.table({"key": pa.array(np.arange(len(rows))), **table})


def link_text(kind: Kind, name: str) -> str:
    """The statement that gives ``id`` and ``to`` of every thing that has the link."""
    return f"MATCH (i:{kind.label}) MATCH {kind.link_patterns[name]} RETURN i.id AS id, min(x.id) AS to"


def _read_whole(at: Reader, label: str) -> Kind:
    """The kind of a label that queries read as things.

    Raises:
        UnknownNameError: There is none.
    """
    kind = kind_of(at, label)
    if not kind.own:
        known = [name for name, each in kinds_of(at).items() if each.own]
        raise UnknownNameError.of("kind of thing", label, known)
    return kind
