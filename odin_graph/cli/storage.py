"""`odin storage`: what stored activations take, and how much they may."""

from __future__ import annotations

from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened


def storage(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    budget: Annotated[
        str | None, typer.Option(help='How much space they may take from now on: "20 GB", "500 MiB", or "none".')
    ] = None,
) -> None:
    """Show the size of every set of stored activations, its last use, and the cost of removing it."""
    with opened(workspace, graph, arrays) as db:
        if budget is not None:
            db.storage.budget = None if budget == "none" else budget
        typer.echo(db.storage.report())
