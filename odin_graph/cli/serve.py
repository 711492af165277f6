"""`odin serve`: the HTTP API over a workspace."""

from __future__ import annotations

import ctypes
import gc
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from odin_graph.cli.which import Arrays, Graph, Workspace, opened
from odin_graph.errors import MissingExtraError, QueryError

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of glibc's mallopt."""


def serve(
    workspace: Workspace = None,
    graph: Graph = None,
    arrays: Arrays = None,
    host: Annotated[str, typer.Option(help="The address to listen on; other machines need TLS or --insecure.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 for any free port.", min=0, max=65535)] = 8000,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the chain of certificates, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: the private key, PEM.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen for other machines without TLS: tokens can be read.")
    ] = (False),
    cypher: Annotated[bool, typer.Option("--cypher", help="Answer POST /v1/cypher, which can only read.")] = False,
    trust_source: Annotated[
        bool,
        typer.Option("--trust-source", help="Run models from scripts and notebooks, whose code is in the workspace."),
    ] = False,
) -> None:
    """Serve a workspace over HTTP until Ctrl-C. Clients need a token from `odin token create`."""
    if (certificate is None) != (key is None):
        raise QueryError("TLS takes both --certificate and --key.")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            raise QueryError(f"There is no file {file}: give a file in PEM.")
    check_listening(host, tls=certificate is not None and key is not None, insecure=insecure)
    try:
        import uvicorn

        from odin_graph.server import Settings, config_of, create_app
    except ImportError as error:
        raise MissingExtraError('Serving needs FastAPI and uvicorn: pip install "odin-graph[server]".') from error
    with listening(host, port) as listener, opened(workspace, graph, arrays) as db:
        scheme = "https" if certificate is not None else "http"
        name = f"[{host}]" if ":" in host else host
        typer.echo(f"{scheme}://{name}:{listener.getsockname()[1]}/docs describes the API. Ctrl-C stops it.", err=True)
        _keep_small()
        settings = Settings(cypher=cypher, trust_source=trust_source)
        config = config_of(create_app(db, settings), settings, ssl_certfile=certificate, ssl_keyfile=key)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _keep_small() -> None:
    """Return freed memory to the system: a server lives long, and its largest request is not its usual one."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_MMAP_THRESHOLD, 256 << 10), (_TRIM_THRESHOLD, 1 << 20), (_ARENA_MAX, 2)):
            mallopt(option, value)
    gc.collect()
    gc.freeze()  # what was loaded stays: the collector need not look at it after each large request


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound before anything is opened.

    Raises:
        QueryError: The port is taken, or the host is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()  # a client that connects before the server is up waits
        except OSError as error:
            raise QueryError(
                f"Nothing can listen at {host}, port {port} ({error.strerror or error}): give another --port, or 0 for "
                "any that is free."
            ) from error
        yield listener


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
