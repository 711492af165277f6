"""`odin storage`: what stored activations take, and how much they may."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def storage(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder.")],
    budget: Annotated[
        str | None, typer.Option(help='How much they may take from now on: "20 GB", "500 MiB", or "none".')
    ] = None,
) -> None:
    """Show what every set of stored activations takes, when it was used, and what dropping it would cost."""
    from odin_graph.opening import connect

    with connect(workspace, create=False) as db:
        if budget is not None:
            db.storage.budget = None if budget == "none" else budget
        typer.echo(db.storage.report())
