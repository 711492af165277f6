"""`odin doctor`: is the workspace sound?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every pixel and file again, and compare digests.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be made again from what is stored, and say what was done.")
    ] = False,
) -> None:
    """Check graph, arrays and indexes against each other. Exit 0: sound, 1: faults, 2: could not check."""
    from odin_graph.opening import connect

    with connect(workspace, create=False) as db:
        report = db.doctor(deep=deep, repair=repair)
    typer.echo(report)
    raise typer.Exit(0 if report.sound else 1)
