"""`odin token`: who may use the server."""

from __future__ import annotations

from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke tokens of the server.")


@app.command()
def create(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    name: Annotated[str, typer.Option(help="The name of its user or purpose.")] = "default",
    scope: Annotated[str, typer.Option(help="read or write.")] = "read",
    days: Annotated[float | None, typer.Option(help="Days until it is refused; without it, never.")] = None,
) -> None:
    """Create a token and print it. It is shown only once: only its digest is stored."""
    from odin_graph.catalog.records.tokens import create_token

    with opened(workspace, graph, arrays) as db:
        typer.echo(create_token(db._stores, name, scope, days))  # type: ignore[arg-type]  # noqa: SLF001


@app.command("list")
def list_(workspace: Workspace = None, graph: Graph = None, arrays: Arrays = None) -> None:
    """Show the name, scope, age and expiry date of every token."""
    from odin_graph.catalog.records.tokens import tokens

    with opened(workspace, graph, arrays) as db:
        for token in tokens(db._stores):  # noqa: SLF001
            until = ""
            if token.expires_at is not None:
                until = f"  {'expired' if token.expired else 'until'} {token.expires_at:%Y-%m-%d %H:%M} UTC"
            typer.echo(f"{token.id}  {token.scope}  made {token.created_at:%Y-%m-%d %H:%M} UTC{until}")


@app.command()
def revoke(
    name: Annotated[str, typer.Option(help="The name of the token.")],
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
) -> None:
    """Remove a token: the next request with it is refused."""
    from odin_graph.catalog.records.tokens import revoke_token

    with opened(workspace, graph, arrays) as db:
        revoke_token(db._stores, name)  # noqa: SLF001
        typer.echo(f"Revoked {name}.")
