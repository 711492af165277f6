"""`odin gc`: remove what nothing names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gc(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove files that no live node names, and builds abandoned for seven days. What is being written is spared."""
    from odin_graph.opening import connect

    with connect(workspace, create=False) as db:
        typer.echo(db.gc(dry_run=dry_run))
