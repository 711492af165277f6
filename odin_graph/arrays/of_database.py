"""Arrays of a graph on a server belong to one database, so that a copy of it does not remove its files.

As `outside` for a folder. A database has no inode, so the one that the arrays belong to is asked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from odin_graph.arrays.files import Files
from odin_graph.arrays.store import OWNER as WORKSPACE
from odin_graph.errors import DataWarning, MismatchError, ReadOnlyError, StoreError
from odin_graph.graph.connection import Graph
from odin_graph.graph.same_database import is_same_database, shared_secret
from odin_graph.warned import warn

OWNER: Final = "database.json"


def take_arrays_of_database(files: Files, graph: Graph, workspace_id: str) -> None:
    """Check that the arrays of a graph on a server belong to no other database.

    Another name of the same database keeps them, and a copy of the arrays is free. If the database that owned them does
    not answer, they are taken over with a warning. Who cannot write, to the graph or the arrays, removes no files, and
    is not checked.

    Raises:
        MismatchError: The database that they belong to is there, and this is a copy of it.
        StoreError: The mark in the arrays is damaged.
    """
    with suppress(ReadOnlyError):
        _take(files, graph, workspace_id, shared_secret(graph))


def _take(files: Files, graph: Graph, workspace_id: str, secret: str) -> None:
    ours = {
        "graph": graph.address,
        "database": graph.database,
        "machine": socket.gethostname() if _is_loopback(graph.address) else "",
        "arrays": files.identity(WORKSPACE),
    }
    ours["proof"] = _proof(ours, secret)
    mark = json.dumps(ours).encode()
    try:
        if files.write_once(OWNER, mark):
            return
    except StoreError:
        return
    try:
        owner = json.loads(files.read(OWNER))
        is_copied = owner["arrays"] != ours["arrays"]
        names = _name(owner), _name(ours)
        can_be_asked = _can_be_asked(owner, ours, secret)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{files.path(OWNER)} is damaged. If no copy of {graph.address} uses these arrays, delete that file."
        ) from error
    if owner == ours:
        return
    if not is_copied:
        is_same = is_same_database(graph, workspace_id, owner["graph"], owner["database"]) if can_be_asked else None
        if is_same:
            return
        if is_same is False:
            raise MismatchError(
                f"The arrays at {files.root} belong to {names[0]}. {names[1]} is a copy of it: each would remove files "
                "of the other. Copy the arrays too, and open the copy with those."
            )
        warn(
            f"The arrays at {files.root} belonged to {names[0]}, which could not be asked, or has the workspace no "
            f"longer: they are now those of {names[1]}. If the other is still used, give one of the two a copy of the "
            "arrays.",
            DataWarning,
        )
    with suppress(StoreError):
        files.write(OWNER, mark)


def _can_be_asked(owner: dict[str, Any], ours: dict[str, Any], secret: str) -> bool:
    """Whether our password may be sent to the address of a mark, and the address means the same here.

    Who can write to the arrays alone could put any address there, so that one is asked only if somebody wrote it who
    knows the graph.
    """
    if not hmac.compare_digest(_proof(owner, secret).encode(), str(owner["proof"]).encode()):
        return False
    is_as_secure = _is_encrypted(owner["graph"]) or not _is_encrypted(ours["graph"])
    return is_as_secure and owner["machine"] in ("", socket.gethostname())


def _proof(mark: dict[str, Any], secret: str) -> str:
    content = json.dumps([mark[name] for name in ("graph", "database", "machine", "arrays")])
    return hmac.new(secret.encode(), content.encode(), hashlib.sha256).hexdigest()


def _name(mark: dict[str, Any]) -> str:
    """The database of a mark in a message."""
    database = f" (database {mark['database']})" if mark["database"] else ""
    return f"{mark['graph']}{database}{' on ' + mark['machine'] if mark['machine'] else ''}"


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_encrypted(address: str) -> bool:
    return "+" in urlsplit(address).scheme
