"""`odin example`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from odin_graph.errors import WorkspaceError
from odin_graph.opening import connect


def example(workspace: Annotated[Path, typer.Argument(help="A folder that does not exist.")]) -> None:
    """Create the workspace of the guides, to try their examples."""
    from odin_graph.example import build

    if workspace.exists():
        raise WorkspaceError(f"{workspace} exists already: give a new folder for the example.")
    with connect(workspace) as db:
        build(db)
        typer.echo(repr(db))
