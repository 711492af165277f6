"""The embedded engine's counters of writes, read from its keeper over a socket of this user: a read takes 0.1 ms.

Over the engine's HTTP port it takes 5 to 9 ms, most of them for unused figures, and every question begins with a
read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import socketserver
import stat
import struct
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROFILED: Final = ("createRecord", "updateRecord", "deleteRecord", "writeTx")
"""ArcadeDB's counters that change on writes, and only on writes.

Counters of records change while a transaction is open, the counter of transactions after its writes are visible:
columns that were read meanwhile have a token that is outdated once it is committed.
"""
COUNTERS: Final = (*PROFILED, "names")
"""These, and the names of properties that were new: the engine writes each in a transaction of its own."""
_ANSWER: Final = struct.Struct(f"<{len(COUNTERS)}q")

Counts = tuple[int, ...]


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


def serve(path: Path, read: Callable[[], Counts]) -> str:
    """Answer clients, on threads that end with the process.

    Args:
        path: The socket's; the caller's umask keeps it to this user.
        read: The counters now.

    Returns:
        The path; empty where no socket can be made (a path of more than 100 bytes, a system without them): clients use
        HTTP then.
    """

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self.request.recv(1):
                    self.request.sendall(_ANSWER.pack(*read()))

    path.unlink(missing_ok=True)
    try:
        server = socketserver.ThreadingUnixStreamServer(str(path), Answer)
    except (OSError, AttributeError):
        return ""
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return str(path)


class CounterClient:
    """Asks a keeper over one open connection, which threads share. A forked process makes its own client."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def read(self) -> Counts:
        """The counters now.

        Raises:
            OSError: The keeper does not answer.
        """
        with self._lock:
            try:
                answer = self._request()
            except OSError:
                self.close()
                raise
        counts: Counts = _ANSWER.unpack(answer)
        return counts

    def close(self) -> None:
        """Close the connection; the next read opens another one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __del__(self) -> None:
        self.close()

    def _request(self) -> bytes:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(30)
            self._connection.connect(self._path)
        self._connection.sendall(b"?")
        answer = self._connection.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(answer) != _ANSWER.size:
            raise ConnectionResetError("the keeper has stopped")
        return answer
