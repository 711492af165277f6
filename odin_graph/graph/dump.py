"""The files of an embedded engine's database as of one moment, while it is read and written."""

from __future__ import annotations

import zipfile
from pathlib import Path

from odin_graph.errors import EngineError, SpaceError, UnreachableError, WorkspaceError
from odin_graph.graph.endpoint import Endpoint
from odin_graph.graph.failures import is_full

_SECONDS = 3_600.0


def dump(endpoint: Endpoint, target: Path) -> None:
    """Write a copy of the database into a folder that an engine can be started on.

    Args:
        endpoint: Of an embedded engine.
        target: Where the databases of an engine are kept; made if it is not there.

    Raises:
        WorkspaceError: The graph is a server, which has its own tools for this.
        SpaceError: No space is left in the workspace, where it is written first.
        EngineError: The engine cannot write it, or does not answer.
    """
    if endpoint.http is None or endpoint.folder is None:
        raise WorkspaceError(
            f"The graph at {endpoint.address} is a server: back it up with its own tools (neo4j-admin database dump), "
            "and then copy the arrays. odin backup is for workspaces with the embedded engine."
        )
    import httpx  # a fifth of a second that opening a workspace need not wait for

    try:
        answer = httpx.post(
            f"{endpoint.http}/api/v1/command/{endpoint.database}",
            json={"language": "sql", "command": "BACKUP DATABASE"},
            auth=(endpoint.user, endpoint.password),
            timeout=_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise UnreachableError(
            f"The graph engine of {endpoint.folder} does not answer ({error}), so nothing is backed up: call again, or "
            "open the workspace again."
        ) from error
    if answer.is_error and is_full(endpoint.folder):
        raise SpaceError(
            f"No space is left at {endpoint.folder}, where the graph engine writes its copy first: make room, and call "
            "again."
        )
    if answer.is_error:
        detail = answer.json().get("detail", answer.text) if "json" in answer.headers.get("content-type", "") else ""
        raise EngineError(f"The graph cannot be backed up: {detail:.500}")
    name = answer.json()["result"][0]["backupFile"]
    written = Path(endpoint.folder) / "backups" / str(endpoint.database) / Path(name).name
    try:
        folder = target / str(endpoint.database)
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(written) as packed:
            packed.extractall(folder)
    finally:
        written.unlink(missing_ok=True)
