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
    workspace: Annotated[Path, typer.Argument(help="The folder of the workspace; created if it does not exist.")],
    arrays: Arrays = None,
) -> None:
    """Keep the graph engine of a workspace running until Ctrl-C, so that other programs connect immediately."""
    with connect(workspace, arrays=arrays) as db:
        typer.echo(f"The graph engine of {workspace} is up at {db.bolt.address}. Ctrl-C stops it.")
        wait()


def wait() -> None:
    """Block until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        ended.wait()
    except KeyboardInterrupt:
        typer.echo("Stopped.")
