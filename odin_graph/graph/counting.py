"""The embedded engine's counters of writes, read from its keeper over a socket of this user: a read takes 0.1 ms.

Over the engine's HTTP port it takes 5 to 9 ms, most of them for unused figures, and every question begins with a
read.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
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


def counting(read: Callable[[], Counts]) -> Callable[[socket.socket], None]:
    """Answers a client of the keeper's socket: for each byte the counters as they are then."""

    def answer(client: socket.socket) -> None:
        while client.recv(1):
            client.sendall(_ANSWER.pack(*read()))

    return answer


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
