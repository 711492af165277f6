"""`odin backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, opened


def backup(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")],
    path: Annotated[Path, typer.Argument(help="A folder that does not exist.")],
    arrays: Arrays = None,
) -> None:
    """Copy a workspace into a new folder that is a workspace itself. Others may use the workspace meanwhile."""
    with opened(workspace, arrays=arrays) as db:
        typer.echo(db.backup(path))
