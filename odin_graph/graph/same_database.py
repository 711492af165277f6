"""Whether another address leads to the same database, or to a copy of it.

All that is in a database is copied with it, also the ids that its server gives. What is written now is in one alone.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from odin_graph.graph.connection import Graph
from odin_graph.graph.endpoint import Endpoint

ASK_SECONDS: Final = 3.0
"""In which a server takes a connection."""
_LOOK: Final = "MATCH (w:Workspace) OPTIONAL MATCH (c:Counter {id: $sign}) RETURN w.id AS id, count(c) AS signs"
_MAKE: Final = (
    "MATCH (w:Workspace) SET w.locked = true "
    "WITH w SET w.odin_secret = coalesce(w.odin_secret, $secret) REMOVE w.locked RETURN w.odin_secret AS secret"
)
"""The first SET takes the node's write lock (Neo4j), so that of several at once all get the same."""


def is_same_database(graph: Graph, workspace_id: str, address: str, database: str | None) -> bool | None:
    """Whether a workspace is found in this database at an address, by our log-in.

    Returns:
        False where a copy of it answers; None where none does, or nobody, or the log-in is refused.
    """
    # A node of its own: many processes may ask at once, and one property of the workspace would be overwritten.
    sign = {"sign": f"sign/{secrets.token_hex(16)}"}
    graph.write("CREATE (:Counter {id: $sign})", sign)
    try:
        there = _look(replace(graph.endpoint, address=address, database=database), sign)
    finally:
        graph.write("MATCH (c:Counter {id: $sign}) DELETE c", sign)
    return there[1] if there is not None and there[0] == workspace_id else None


def shared_secret(graph: Graph) -> str:
    """A random text in the database and all its copies, made at the first call.

    Raises:
        ReadOnlyError: There is none, and the log-in cannot write.
    """
    (row,) = graph.read("MATCH (w:Workspace) RETURN w.odin_secret AS secret")
    if row["secret"] is None:
        (row,) = graph.write(_MAKE, {"secret": secrets.token_hex(16)})
    return str(row["secret"])


def _look(endpoint: Endpoint, sign: dict[str, str]) -> tuple[str, bool] | None:
    """The id of the workspace there, and whether the sign is; None where nothing can be read."""
    try:
        with (
            neo4j.GraphDatabase.driver(
                endpoint.address,
                auth=(endpoint.user, endpoint.password),
                connection_timeout=ASK_SECONDS,
                connection_acquisition_timeout=ASK_SECONDS,
                notifications_min_severity="OFF",
            ) as driver,
            driver.session(database=endpoint.database, default_access_mode=neo4j.WRITE_ACCESS) as session,
        ):  # the access mode for writing leads to the server of a cluster that has the sign already
            rows = list(session.run(_LOOK, sign))
    except (Neo4jError, DriverError, ValueError):  # ValueError: of an address that the driver cannot read
        return None
    return (str(rows[0]["id"]), bool(rows[0]["signs"])) if rows else None
