"""Sockets on which a keeper answers processes of its own user, past Bolt: they need no log-in, and take 0.1 ms."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import socketserver
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path


def socket_path() -> Path:
    """The path of a new socket, in a folder of this user and not in the workspace: not every tool can copy sockets.

    Raises:
        OSError: There is no folder that is this user's alone.
    """
    folder = Path(tempfile.gettempdir()) / f"odin-graph-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is somebody else's")
    for stale in folder.glob("*.sock"):
        _sweep(stale)
    return folder / f"{secrets.token_hex(8)}.sock"


def _sweep(stale: Path) -> None:
    """Remove a socket whose keeper was killed, so that nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        try:
            client.settimeout(0.1)
            client.connect(str(stale))
        except ConnectionRefusedError:
            stale.unlink()


def serve(path: Path, answer: Callable[[socket.socket], None]) -> str:
    """Answer clients, on threads that end with the process.

    Args:
        path: The socket's; the caller's umask keeps it to this user.
        answer: Answers one client until it has gone.

    Returns:
        The path; empty where no socket can be made (a path of more than 100 bytes, a system without them).
    """

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                answer(self.request)

    path.unlink(missing_ok=True)
    try:
        server = socketserver.ThreadingUnixStreamServer(str(path), Answer)
    except (OSError, AttributeError):
        return ""
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(path)
