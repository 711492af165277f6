"""`odin doctor`: is the workspace sound?"""

from __future__ import annotations

from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened


def doctor(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every pixel and file again, and compare digests.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="First repair what can be made again from stored data, and report what was done."
        ),
    ] = False,
) -> None:
    """Check graph, arrays and indexes against each other. Exit 0: sound, 1: faults, 2: could not check."""
    with opened(workspace, graph, arrays) as db:
        report = db.doctor(deep=deep, repair=repair)
    typer.echo(report)
    raise typer.Exit(0 if report.sound else 1)
