"""`odin backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def backup(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")],
    target: Annotated[Path, typer.Argument(help="A folder that does not exist.")],
) -> None:
    """Copy a workspace, also one in use, into a new folder that is a workspace itself."""
    from odin_graph.opening import connect

    with connect(workspace, create=False) as db:
        typer.echo(db.backup(target))
