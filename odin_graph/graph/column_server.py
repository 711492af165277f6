"""Columns of the embedded engine, handed out by its keeper past Bolt: a million rows in a tenth of the time.

ArcadeDB's Python package makes columns of a result in the engine's own memory (``ColumnBatcher``): typed buffers, which
are Arrow's but for the null bits. A batch of them goes out as it is, and the client (`column_client`) reads it. Where
fields are lists it makes JSON (``TypedRows``), in a third of the time of Bolt.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

LENGTH: Final = struct.Struct("<q")
"""Goes before the request, which is JSON, and before each batch; 0 is the end."""
FAILED: Final = -1
"""In the place of a length: the engine refused the statement, or could not go on."""
FIRST_ROWS: Final = 32
MOST_ROWS: Final = 4_000
"""Rows of a batch: more are hardly faster, and are in the engine's memory at once, with their texts."""
LISTED_ROWS: Final = 1_000
"""Rows of a batch of rows, which ends before where its text has some megabytes."""
BATCH_BYTES: Final = 2 << 20
"""Bytes of a batch, by those of the batch before."""
SILENCE_SECONDS: Final = 60.0
"""Seconds after which a client that takes nothing is left: a result holds threads of the engine."""


def handing_out(database: Any) -> Callable[[socket.socket], None]:
    """Answers a client of the keeper's socket: the columns of one statement, batch by batch.

    Args:
        database: ArcadeDB's own.
    """

    def answer(client: socket.socket) -> None:
        import jpype

        client.settimeout(SILENCE_SECONDS)
        try:
            _hand_out(database, client)
        except OSError:  # the client has gone
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client reads over Bolt, which says it better
            print(f"Columns are read over Bolt: {error}", file=sys.stderr, flush=True)
            client.sendall(LENGTH.pack(FAILED))
        finally:
            jpype.JClass("java.lang.Thread").detach()  # or the JVM keeps its half of this thread

    return answer


def _hand_out(database: Any, client: socket.socket) -> None:
    (length,) = LENGTH.unpack(received(client, LENGTH.size))
    request = json.loads(received(client, length))
    result = database.query("sql", request["statement"])  # refuses what writes
    try:
        for batch in _rows(result) if request["rows"] else _columns(result, request["columns"]):
            client.sendall(LENGTH.pack(len(batch)))
            client.sendall(batch)
    finally:
        result.close()  # it holds threads of the engine until then
    client.sendall(LENGTH.pack(0))


def _columns(result: Any, columns: Sequence[str]) -> Iterator[bytes]:
    import jpype

    batcher = jpype.JClass("com.arcadedb.python.ColumnBatcher")
    names, rows = json.dumps(columns), FIRST_ROWS
    while True:
        batch = bytes(batcher.nextColumnBatch(result, rows, names))
        if not (count := int(header_of(batch)["count"])):
            return
        yield batch
        rows = max(1, min(rows * 4, MOST_ROWS, BATCH_BYTES * count // len(batch)))


def _rows(result: Any) -> Iterator[bytes]:
    """Rows as JSON, with tags for what JSON has not; in a line before them the numbers that it has not."""
    import jpype

    batcher, ended = jpype.JClass("com.arcadedb.python.TypedRows"), False
    floats = jpype.JClass("java.lang.Double"), jpype.JClass("java.lang.Float")
    while not ended:
        rows, others, ended = batcher.nextRows(result, LISTED_ROWS)
        if not all(isinstance(other, floats) for other in others):
            raise TypeError("values that are no metadata")
        yield f"{json.dumps([float(other) for other in others])}\n{rows}".encode()


def header_of(batch: bytes) -> dict[str, Any]:
    """What is in a batch: the rows' number, and of each column name, type and bytes."""
    header: dict[str, Any] = json.loads(batch[4 : start_of(batch)])
    return header


def start_of(batch: bytes) -> int:
    """Where the first column of a batch begins."""
    return 4 + int.from_bytes(batch[:4], "little")


def received(connection: socket.socket, length: int) -> bytes:
    """So many bytes, whole.

    Raises:
        ConnectionError: The other side has gone.
    """
    data = bytearray(length)
    view = memoryview(data)
    while view:
        if not (got := connection.recv_into(view)):
            raise ConnectionResetError("the other side of the socket has gone")
        view = view[got:]
    return bytes(data)
