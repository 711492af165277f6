"""`og.connect`: the engine is started before anything heavy is imported, and both take place at once."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, overload

from odin_graph.address import Address, Remote
from odin_graph.errors import WorkspaceError
from odin_graph.folder import prepare_folder
from odin_graph.graph import open_embedded
from odin_graph.spinner import spinner

if TYPE_CHECKING:
    from odin_graph.objects.remote.remote import RemoteWorkspace
    from odin_graph.workspace import Workspace


@overload
def connect(path: str, *, token: str, certificate: str | os.PathLike[str] | None = None) -> RemoteWorkspace: ...
@overload
def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    graph: str | None = None,
    arrays: str | os.PathLike[str] | None = None,
    user: str | None = None,
    password: str | None = None,
    database: str | None = None,
    create: bool = True,
) -> Workspace: ...
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
) -> Workspace | RemoteWorkspace:
    """Open a workspace, and make it if there is none; or the one that a server has open: ``"https://host:8000"``.

    Args:
        path: A folder, for the embedded graph engine: ``"retina.odin"``. Or the address of `odin serve`, for the same
            queries from far away.
        graph: A Neo4j server instead: ``"neo4j://host"``, with ``+s`` for TLS.
        arrays: With ``graph``, where pixels and activations go: a folder, ``s3://``, ``gs://`` or ``azure://``.
        user: The server's log-in; else ``ODIN_GRAPH_USER``, else ``neo4j``.
        password: The server's password; else ``ODIN_GRAPH_PASSWORD``.
        database: The server's database; else ``ODIN_GRAPH_DATABASE``, else the user's home database.
        create: False to refuse where there is no workspace yet.
        token: Of a server, as `odin token create` made it; else ``ODIN_GRAPH_TOKEN``.
        certificate: Of a server: a file of the authority that vouches for it, PEM, where the system does not know it.

    Raises:
        WorkspaceError: The address makes no sense, is no workspace, or belongs to a newer odin_graph.
        EngineError: The graph engine, or the server, does not start, answer, or let us in.
    """
    if Remote.means(path):
        if graph or arrays or user or password or database:
            raise WorkspaceError(f"{path} is a server that has its graph and arrays open: it takes token= alone.")
        from odin_graph.objects.remote.remote import RemoteWorkspace

        return RemoteWorkspace.open(Remote.of(str(path), token=token, certificate=certificate))
    if token is not None or certificate is not None:
        raise WorkspaceError('token= and certificate= are for a server: connect("https://host:8000", token=...).')
    address = Address.of(path, graph=graph, arrays=arrays, user=user, password=password, database=database)
    with spinner(f"opening {address}"), _engine_up(address, create=create):
        from odin_graph.graph import lend_to_neomodel
        from odin_graph.stores import Stores
        from odin_graph.workspace import Workspace

        stores = Stores.open(address, create=create)
        stores.keep()
        lend_to_neomodel(stores.graph, if_free=True)
        return Workspace(stores)


@contextmanager
def _engine_up(address: Address, *, create: bool) -> Iterator[None]:
    """Have the embedded engine start while everything is imported that opening takes, which is as long."""
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
            _, attachment = starting.result()  # its error comes before one of ours, which would follow from it
    try:
        yield
    finally:
        attachment.close()


def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str], *, progress: bool = True) -> Workspace:
    """Make a workspace of a backup, which stays as it is, and open it.

    Args:
        backup: The folder that `Workspace.backup` wrote.
        path: A folder that does not exist.
        progress: Show a progress bar.

    Raises:
        MissingWorkspaceError: There is no backup.
        WorkspaceError: The folder exists, or somebody has the backup open.
    """
    from odin_graph.catalog.backup import restore as restore_folder

    restore_folder(Path(backup), Path(path), progress=progress)
    return connect(Path(path), create=False)
