"""`odin serve`: the HTTP API over a workspace."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from odin_graph.errors import MissingExtraError, QueryError


def serve(
    workspace: Annotated[Path | None, typer.Argument(help="The workspace's folder.")] = None,
    graph: Annotated[str | None, typer.Option(help="A Neo4j server instead of a folder.")] = None,
    arrays: Annotated[str | None, typer.Option(help="With --graph: the arrays' root.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; elsewhere than here only with TLS or --insecure.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 for any that is free.", min=0, max=65535)] = 8000,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the chain of certificates, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: the private key, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen elsewhere without TLS: tokens can be read.")] = (
        False
    ),
    cypher: Annotated[bool, typer.Option("--cypher", help="Answer POST /v1/cypher, which only reads.")] = False,
) -> None:
    """Serve a workspace over HTTP until Ctrl-C. Whoever asks needs a token of `odin token create`."""
    check_listening(host, tls=certificate is not None and key is not None, insecure=insecure)
    try:
        import uvicorn

        from odin_graph.server import Settings, create_app
    except ImportError as error:
        raise MissingExtraError('Serving needs FastAPI and uvicorn: pip install "odin-graph[server]".') from error
    from odin_graph.workspace import connect

    with connect(workspace, graph=graph, arrays=arrays, create=False) as db:
        scheme = "https" if certificate is not None else "http"
        typer.echo(f"{scheme}://{host}:{port}/docs describes the API. Ctrl-C stops it.", err=True)
        uvicorn.run(
            create_app(db, Settings(cypher=cypher)),
            host=host,
            port=port,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=10,
        )


def check_listening(host: str, *, tls: bool, insecure: bool) -> None:
    """Refuse to listen beyond this machine where tokens and images would travel in clear.

    Raises:
        QueryError: Says how it is done.
    """
    if tls or insecure or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:
        pass
    raise QueryError(
        f"{host} is reached from elsewhere, and tokens and images would travel in clear: give --certificate and --key, "
        "or say --insecure where something else encrypts."
    )
