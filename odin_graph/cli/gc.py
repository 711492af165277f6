"""`odin gc`: remove what nothing names."""

from __future__ import annotations

from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened


def gc(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
) -> None:
    """Remove files that no live node names, and builds abandoned for seven days. Files being written are kept."""
    with opened(workspace, graph, arrays) as db:
        typer.echo(db.gc(dry_run=dry_run))
