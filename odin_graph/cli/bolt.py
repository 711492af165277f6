"""`odin bolt`: the address and the log-in for any Bolt client."""

from __future__ import annotations

from typing import Annotated

import typer

from odin_graph.cli.up import wait
from odin_graph.cli.which import Arrays, Graph, Workspace, opened


def bolt(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    write: Annotated[
        bool, typer.Option("--write", help="The login that can write, instead of the read-only one.")
    ] = False,
) -> None:
    """Print how a Bolt client (cypher-shell, a driver of any language) logs in, and keep the engine up until Ctrl-C.

    The log-in only reads, unless --write is given: the engine itself refuses what writes.
    """
    with opened(workspace, graph, arrays) as db:
        endpoint = db.bolt
        typer.echo(f"address   {endpoint.address}")
        if endpoint.database:
            typer.echo(f"database  {endpoint.database}")
        if graph is not None:
            typer.echo("log in    as you do: this server has no log-in of ours that only reads")
            return
        user, password = (endpoint.user, endpoint.password) if write else (endpoint.reader, endpoint.reader_password)
        typer.echo(f"user      {user}{'' if write else ' (only reads)'}\npassword  {password}")
        typer.echo("Ctrl-C when you are done: the engine stops a few seconds after its last user.", err=True)
        wait()
