"""`odin info`: what a workspace holds."""

from __future__ import annotations

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened


def info(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
) -> None:
    """Show what a workspace contains: images, data sets, models, experiments."""
    with opened(workspace, graph, arrays) as db:
        typer.echo(str(db))
