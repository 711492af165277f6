"""A thing's own node: its properties, and the names there are of its kind."""

from __future__ import annotations

from typing import Any

from odin_graph.errors import UnknownNameError
from odin_graph.graph.kinds import kind_of
from odin_graph.schema.metadata import decode
from odin_graph.schema.reserved import reserved
from odin_graph.served import served
from odin_graph.stores import Stores


@served
def metadata_of(stores: Stores, kind: str, id: str) -> dict[str, Any]:  # noqa: A002 - the users' word for it
    """The free metadata of a thing."""
    ours = set(reserved(kind_of(stores.graph, kind)))  # also checks the label, which may be a stranger's
    rows = stores.graph.read(f"MATCH (n:{kind} {{id: $id}}) RETURN properties(n) AS own", {"id": id})
    return {name: decode(value) for name, value in rows[0]["own"].items() if name not in ours} if rows else {}


def unknown(stores: Stores, label: str, name: str, id: str) -> UnknownNameError:  # noqa: A002
    """The error for an id that nothing has.

    Args:
        stores: The open workspace.
        label: The kind of node.
        name: What users call it.
        id: Their id.
    """
    condition = kind_of(stores.graph, label).alive()
    rows = stores.graph.read(f"MATCH (n:{label}) WHERE {condition} RETURN n.id AS id ORDER BY n.created_at, n.id")
    return UnknownNameError.of(name, id, [row["id"] for row in rows])
