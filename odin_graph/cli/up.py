"""`odin up`: hold a workspace's engine up for other programs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from odin_graph.cli.which import Arrays
from odin_graph.opening import connect


def up(
    workspace: Annotated[Path, typer.Argument(help="The workspace's folder; made if there is none.")],
    arrays: Arrays = None,
) -> None:
    """Hold the graph engine of a workspace up, until Ctrl-C, so that other programs find it running."""
    with connect(workspace, arrays=arrays) as db:
        typer.echo(f"The graph engine of {workspace} is up at {db.bolt.address}. Ctrl-C stops it.")
        wait()


def wait() -> None:
    """Until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        ended.wait()
    except KeyboardInterrupt:
        typer.echo("Stopped.")
