"""The kinds of things that queries read beside images: models, experiments, checkpoints, data sets, prediction sets.

They are few, thousands and not millions, so that a query reads whole columns of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from odin_graph.columns.fields import column
from odin_graph.columns.fields import fields as recorded
from odin_graph.graph.moment import Reader
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import KINDS as EVERY
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType

KINDS: Final = {label: kind for label, kind in EVERY.items() if kind.own}
"""Those that are read whole, by label."""


def fields_of(at: Reader, kind: str) -> dict[str, FieldType]:
    """Every field of a kind that is stored, with its type: properties of ours, links, then free metadata by name."""
    entry = KINDS[kind]
    free = recorded(at, kind) if entry.metadata else {}
    return {
        **entry.own,
        **dict.fromkeys(entry.links, FieldType.STRING),
        **{name: free[name] for name in free if name != "id"},
    }


def read_things(at: Reader, kind: str, names: Sequence[str]) -> pa.Table:
    """The things of a kind that are ready and not deleted, in their order.

    Args:
        at: The graph, or a moment of it.
        kind: Their label.
        names: Stored fields of theirs.

    Returns:
        ``key``, the row's number, and the fields.
    """
    entry, types = KINDS[kind], fields_of(at, kind)
    wanted = [name for name in dict.fromkeys(["id", *names]) if name not in entry.links]
    values = ", ".join(f"i.{quoted(name)}" for name in wanted)
    (answer,) = at.read(
        f"MATCH (i:{kind}) WHERE {alive(kind, 'i')} WITH i ORDER BY {entry.order} RETURN collect([{values}]) AS rows"
    )
    rows: Sequence[Sequence[Any]] = answer["rows"]
    columns = list(zip(*rows, strict=True)) or [()] * len(wanted)
    table = {name: column(cells, types[name]) for name, cells in zip(wanted, columns, strict=True)}
    for name in names:
        if name in entry.links:
            found = {row["id"]: row["to"] for row in at.read(link_text(kind, name))}
            table[name] = pa.array([found.get(row[0]) for row in rows], pa.string())
    return pa.table({"key": pa.array(np.arange(len(rows))), **table})


def link_text(kind: str, name: str) -> str:
    """The statement that gives ``id`` and ``to`` of every thing that has the link."""
    return f"MATCH (i:{kind}) MATCH {KINDS[kind].links[name]} RETURN i.id AS id, min(x.id) AS to"
