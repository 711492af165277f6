"""The files of an embedded engine's database as of one moment, while it is read and written."""

from __future__ import annotations

import zipfile
from pathlib import Path

from odin_graph.errors import EngineError, WorkspaceError
from odin_graph.graph.endpoint import Endpoint

_SECONDS = 3_600.0


def dump(endpoint: Endpoint, target: Path) -> None:
    """Write a copy of the database into a folder that an engine can be started on.

    Args:
        endpoint: Of an embedded engine.
        target: Where the databases of an engine are kept; made if it is not there.

    Raises:
        WorkspaceError: The graph is a server, which has its own tools for this.
        EngineError: The engine cannot write it.
    """
    if endpoint.http is None or endpoint.folder is None:
        raise WorkspaceError(
            f"The graph at {endpoint.address} is a server: back it up with its own tools (neo4j-admin database dump), "
            "and then copy the arrays. odin backup is for workspaces with the embedded engine."
        )
    import httpx  # a fifth of a second that opening a workspace need not wait for

    answer = httpx.post(
        f"{endpoint.http}/api/v1/command/{endpoint.database}",
        json={"language": "sql", "command": "BACKUP DATABASE"},
        auth=(endpoint.user, endpoint.password),
        timeout=_SECONDS,
        trust_env=False,
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
