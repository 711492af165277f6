"""The typer application: gathers the verbs, and prints our errors as a sentence instead of a traceback."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from odin_graph.cli.backup import backup
from odin_graph.cli.bolt import bolt
from odin_graph.cli.doctor import doctor
from odin_graph.cli.example import example
from odin_graph.cli.gc import gc
from odin_graph.cli.info import info
from odin_graph.cli.quickstart import quickstart
from odin_graph.cli.restore import restore
from odin_graph.cli.serve import serve
from odin_graph.cli.storage import storage
from odin_graph.cli.token import app as token
from odin_graph.cli.up import up
from odin_graph.errors import OdinError

app = typer.Typer(name="odin", no_args_is_help=True, pretty_exceptions_show_locals=False)
for verb in (quickstart, example, info, doctor, gc, backup, restore, storage, up, bolt, serve):
    app.command()(verb)
app.add_typer(token, name="token")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(installed_version("odin-graph"))
        raise typer.Exit


@app.callback()
def _odin(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """A database for deep learning over images: lineage, pixels, predictions and activations in one query."""


def main() -> None:
    """Run a command. Exit with 2 on an odin_graph error, with only its message on standard error."""
    try:
        app()
    except OdinError as error:
        print(f"odin: {error}", file=sys.stderr)
        sys.exit(2)
