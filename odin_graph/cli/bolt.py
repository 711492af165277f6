"""`odin bolt`: the address and the log-in for any Bolt client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bolt(
    workspace: Annotated[Path | None, typer.Argument(help="The workspace's folder.")] = None,
    graph: Annotated[str | None, typer.Option(help="A Neo4j server instead of a folder.")] = None,
    arrays: Annotated[str | None, typer.Option(help="With --graph: the arrays' root.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="The log-in that writes, instead of the one that reads.")
    ] = False,
) -> None:
    """Print how a Bolt client (cypher-shell, a driver of any language) logs in, and hold the engine up until Ctrl-C.

    The log-in only reads, unless --write is given: the engine itself refuses what writes.
    """
    from odin_graph.cli.up import wait
    from odin_graph.opening import connect

    with connect(workspace, graph=graph, arrays=arrays, create=False) as db:
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
