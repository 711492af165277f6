"""Install the schema before any data, migrate an older workspace, refuse a newer one."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from odin_graph import schema
from odin_graph.errors import (
    ConflictError,
    EngineError,
    LoginError,
    QueryError,
    ReadOnlyError,
    SchemaVersionError,
    StoreError,
    UnreachableError,
)
from odin_graph.graph import journal
from odin_graph.graph.connection import Graph
from odin_graph.graph.writer import quoted

T = TypeVar("T")
_LASTING: Final = (LoginError, ReadOnlyError, UnreachableError)
_PATIENCE: Final = 30.0
"""Seconds in which several processes that install at once finish, one after another."""
_MAKE: Final = (
    "MERGE (o:Counter {id: 'workspace'}) SET o.locked = true "
    "WITH o OPTIONAL MATCH (w:Workspace) WITH o, count(w) AS there "
    "FOREACH (_ IN CASE WHEN there = 0 THEN [1] ELSE [] END | "
    "CREATE (:Workspace {id: $id, schema_version: $version})) "
    "WITH o MATCH (w:Workspace) RETURN w.id AS id"
)
"""Its constraint allows one counter, and it is locked: so only one workspace is made."""

_PROPERTIES: Final = sorted(
    {name for label in schema.LABELS for name in schema.stored_properties(label)}
    | {name for edge in schema.EDGES for name in edge.properties}
)
_LOOPS: Final = " ".join(
    f"CREATE (n)-[:{quoted(type_)}]->(n)" for type_ in sorted({edge.type for edge in schema.EDGES})
)
_NAMES: Final = (
    f"CREATE (n{''.join(f':{quoted(label)}' for label in schema.LABELS)} "
    f"{{{', '.join(f'{quoted(name)}: $none' for name in _PROPERTIES)}}}) {_LOOPS} DETACH DELETE n"
)
"""Neo4j writes each new name in a transaction of its own, which the journal takes for a foreign one: here are ours."""


def install(graph: Graph) -> str:
    """Make the graph's schema today's, and return the workspace's id. May be run again and by several at once.

    Raises:
        SchemaVersionError: The workspace was written by a newer odin_graph.
    """
    return patiently(partial(_install, graph))


def patiently(make: Callable[[], T]) -> T:
    """The result of what changes the schema, also where several processes do so at once."""
    until, pause = time.monotonic() + _PATIENCE, 0.05
    while True:
        try:
            return make()
        except (ConflictError, QueryError, EngineError) as error:
            # Engines tell in several words that another process makes the same constraint or node at this moment.
            if isinstance(error, _LASTING) or time.monotonic() > until:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - a pause is no secret
        pause = min(pause * 2, 1.0)


def _install(graph: Graph) -> str:
    current = version(graph)
    if current is not None and current > schema.VERSION:
        raise SchemaVersionError(
            f"The workspace at {graph.address} has schema version {current}, this odin_graph knows {schema.VERSION}: "
            "upgrade odin_graph (pip install --upgrade odin-graph)."
        )
    if current != schema.VERSION:
        for statement in schema.constraints():
            graph.autocommit(statement)
        if graph.endpoint.http is None:
            graph.write(_NAMES, {"none": ""})
        graph.write(journal.MAKE)
        for reached, statements in schema.migrations(current if current is not None else schema.VERSION):
            for statement in statements:
                graph.write(statement)
            graph.write("MATCH (w:Workspace) SET w.schema_version = $version", {"version": reached})
    if current is None:
        (row,) = graph.write(_MAKE, {"id": uuid.uuid4().hex, "version": schema.VERSION})
    else:
        (row,) = graph.read("MATCH (w:Workspace) RETURN w.id AS id")
    return str(row["id"])


def version(graph: Graph) -> int | None:
    """The schema version of the workspace; None where there is none yet.

    Raises:
        StoreError: It is no version, or there are several workspaces.
    """
    rows = graph.read("MATCH (w:Workspace) RETURN w.schema_version AS version")
    if len(rows) > 1:
        raise StoreError(
            f"The graph at {graph.address} is damaged: it has {len(rows)} Workspace nodes, and must have one. Remove "
            "what another client made, or restore the graph from a backup."
        )
    found = rows[0]["version"] if rows else None
    if rows and (type(found) is not int or found < 1):
        raise StoreError(
            f"The graph at {graph.address} is damaged: its schema has the version {found!r:.40}, which is none. "
            "Restore it from a backup, and look for a client that changes nodes of ours."
        )
    return found
