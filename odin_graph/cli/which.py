"""Which workspace a verb is about: the same words for every verb, as `og.connect` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odin_graph.errors import WorkspaceError
from odin_graph.opening import connect

if TYPE_CHECKING:  # loading it takes a second
    from odin_graph.workspace import Workspace as Opened

Workspace = Annotated[Path | None, typer.Argument(help="The folder of the workspace.")]
Graph = Annotated[str | None, typer.Option(help="A Neo4j server instead of a folder.")]
Arrays = Annotated[
    str | None, typer.Option(help="The place of the arrays, if it is not in the folder: a folder, or s3://...")
]


@contextmanager
def opened(workspace: Path | None, graph: str | None = None, arrays: str | None = None) -> Iterator[Opened]:
    """Open a workspace, which must exist.

    Raises:
        WorkspaceError: None is named, or two are.
    """
    if (workspace is None) == (graph is None):
        raise WorkspaceError("Name one workspace: its folder, or --graph neo4j://host with --arrays.")
    with connect(workspace, graph=graph, arrays=arrays, create=False) as db:
        yield db
