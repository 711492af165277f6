"""`og.connect`: the engine is started before anything heavy is imported, and both take place at once."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from odin_graph.address import Address, Remote
from odin_graph.arguments import read_path
from odin_graph.checked import checked
from odin_graph.errors import WorkspaceError
from odin_graph.folder import prepare_folder
from odin_graph.graph import open_embedded
from odin_graph.spinner import spinner

if TYPE_CHECKING:
    from odin_graph.workspace import Workspace


@checked
def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    graph: str | None = None,
    arrays: str | os.PathLike[str] | None = None,
    user: str | None = None,
    password: str | None = None,
    database: str | None = None,
    create: bool = True,
    token: str | None = None,
    certificate: str | os.PathLike[str] | None = None,
) -> Workspace:
    """Open a workspace, or create it if it does not exist. Or connect to a server: ``"https://host:8000"``.

    Args:
        path: A folder, for the embedded graph engine: ``"retina.odin"``. Or the address of `odin serve`, to run the
            same queries from another machine.
        graph: A Neo4j server instead of a folder: ``"neo4j://host"``, with ``+s`` for TLS.
        arrays: Where to store pixels and activations: a folder, ``s3://``, ``gs://`` or ``azure://``. Needed with
            ``graph``; by default in the folder of the workspace.
        user: The user name on the server; by default ``ODIN_GRAPH_USER``, or else ``neo4j``.
        password: The password on the server; by default ``ODIN_GRAPH_PASSWORD``.
        database: The database; by default ``ODIN_GRAPH_DATABASE``, or else the home database of the user.
        create: False to raise an error if the workspace does not exist.
        token: The token for `odin serve`, from `odin token create`; by default ``ODIN_GRAPH_TOKEN``.
        certificate: For `odin serve`: a PEM file of its certificate authority, if the system does not know it.

    Raises:
        WorkspaceError: The address is not valid, is not a workspace, or belongs to a newer odin_graph.
        EngineError: The graph engine or the server does not start, does not answer, or refuses the login.
    """
    if Remote.means(path):
        if graph or arrays or user or password or database:
            raise WorkspaceError(f"{path} is a server, which has its own graph and arrays: pass only token=.")
        from odin_graph.workspace import Workspace

        return Workspace.far(Remote.of(str(path), token=token, certificate=certificate))
    if token is not None or certificate is not None:
        raise WorkspaceError('token= and certificate= are for a server: connect("https://host:8000", token=...).')
    address = Address.of(path, graph=graph, arrays=arrays, user=user, password=password, database=database)
    with spinner(f"opening {address}"), _engine_up(address, create=create):
        from odin_graph.client import LocalSession
        from odin_graph.graph import lend_to_neomodel
        from odin_graph.stores import Stores
        from odin_graph.workspace import Workspace

        stores = Stores.open(address, create=create)
        stores.keep()
        lend_to_neomodel(stores.graph, if_free=True)
        return Workspace(LocalSession(stores))


@contextmanager
def _engine_up(address: Address, *, create: bool) -> Iterator[None]:
    """Start the embedded engine while the workspace's modules are imported, which takes as long."""
    if address.folder is None:
        yield
        return
    folder = Path(address.folder)
    prepare_folder(folder, create=create)
    with ThreadPoolExecutor(1, "start of the graph engine") as pool:
        starting = pool.submit(open_embedded, folder / "engine")
        try:
            importlib.import_module("odin_graph.workspace")
        finally:
            _, attachment = starting.result()  # its error hides an import error, which would follow from it
    try:
        yield
    finally:
        attachment.close()


@checked
def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: bool = True) -> Workspace:
    """Make a workspace from a backup, and open it. The backup does not change.

    Args:
        backup: The folder that `Workspace.backup` wrote.
        path: A folder that does not exist.
        progress: Show a progress bar.

    Raises:
        MissingWorkspaceError: There is no backup in this folder.
        WorkspaceError: The folder exists, or another process has the backup open.
    """
    from odin_graph.catalog.backup import restore as restore_folder

    folder = read_path("path", path)
    restore_folder(read_path("backup", backup), folder, progress=progress)
    return connect(folder, create=False)
