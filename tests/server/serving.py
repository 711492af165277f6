"""A real server on a real port, and a line to it that can be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

import odin_graph as og
from odin_graph.server import Settings, config_of, create_app


@contextmanager
def served(db: og.Workspace, settings: Settings, **how: Any) -> Iterator[int]:
    """A real server on a free port."""
    server = uvicorn.Server(config_of(create_app(db, settings), settings, port=0, **how))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def cut_after(port: int, limit: int) -> Iterator[int]:
    """A port that leads to another one, and whose connections break after so many bytes of an answer."""
    listening = socket.create_server(("127.0.0.1", 0))

    def forward(one: socket.socket, other: socket.socket, most: int) -> None:
        sent = 0
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data[: most - sent])
                sent += len(data)
                if sent >= most:
                    break
        for line in (one, other):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for one, other, most in ((client, server, 1 << 40), (server, client, limit)):
                    threading.Thread(target=forward, args=(one, other, most), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        listening.close()


def features(db: Any) -> Any:
    return db.experiment("small-cnn/1").layer("features")
