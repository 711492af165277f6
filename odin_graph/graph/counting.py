"""The embedded engine's counters of writes, told by its keeper over a socket of this user's: a look takes 0.1 ms.

Over the engine's HTTP port it takes 5 to 9 ms, most of them for figures that nobody asked for, and every question
begins with a look.
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

COUNTERS: Final = ("createRecord", "updateRecord", "deleteRecord", "writeTx")
"""ArcadeDB's counters that change on writes, and only on writes.

Those of records change while a transaction is open, that of transactions after what one wrote can be seen: of columns
that were read meanwhile, the token is of the past once it is committed.
"""
_ANSWER: Final = struct.Struct(f"<{len(COUNTERS)}q")

Counts = tuple[int, ...]


def socket_path() -> Path:
    """Of a new socket, in a folder of this user's and not in the workspace: not all that copies folders copies sockets.

    Raises:
        OSError: There is no folder that is this user's alone.
    """
    folder = Path(tempfile.gettempdir()) / f"odin-graph-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    held = folder.lstat()
    if not stat.S_ISDIR(held.st_mode) or held.st_uid != os.getuid() or held.st_mode & 0o077:
        raise PermissionError(f"{folder} is somebody else's")
    for left in folder.glob("*.sock"):
        _sweep(left)
    return folder / f"{secrets.token_hex(8)}.sock"


def _sweep(left: Path) -> None:
    """Remove a socket whose keeper was killed: nobody answers."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.settimeout(0.1)
            asked.connect(str(left))
        except ConnectionRefusedError:
            left.unlink()


def serve(path: Path, read: Callable[[], Counts]) -> str:
    """Answer whoever asks, on threads that end with the process.

    Args:
        path: The socket's; the caller's umask keeps it to this user.
        read: The counters now.

    Returns:
        The path; empty where no socket can be made (a path of more than 100 bytes, a system without them): those who
        ask go by HTTP then.
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
    """Asks a keeper, over one connection that stays and that threads share. A forked process makes its own client."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: socket.socket | None = None
        self._asking = threading.Lock()

    def read(self) -> Counts:
        """The counters now.

        Raises:
            OSError: The keeper does not answer.
        """
        with self._asking:
            try:
                answer = self._asked()
            except OSError:
                self.close()
                raise
        counts: Counts = _ANSWER.unpack(answer)
        return counts

    def close(self) -> None:
        """Hang up; asked again, it calls again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __del__(self) -> None:
        self.close()

    def _asked(self) -> bytes:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(30)
            self._connection.connect(self._path)
        self._connection.sendall(b"?")
        answer = self._connection.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(answer) != _ANSWER.size:
            raise ConnectionResetError("the keeper has stopped")
        return answer
