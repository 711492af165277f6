"""`odin restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from odin_graph.opening import restore as make


def restore(
    backup: Annotated[Path, typer.Argument(help="The folder that `odin backup` wrote.")],
    workspace: Annotated[Path, typer.Argument(help="A folder that does not exist.")],
) -> None:
    """Make a workspace from a backup. The backup does not change."""
    with make(backup, workspace) as db:
        typer.echo(repr(db))
