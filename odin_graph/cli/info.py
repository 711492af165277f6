"""`odin info`: what a workspace holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")]) -> None:
    """Show what a workspace holds: images, data sets, models, experiments."""
    from odin_graph.opening import connect

    with connect(workspace, create=False) as db:
        typer.echo(str(db))
