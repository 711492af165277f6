"""From Arrow to JSON and to Arrow streams."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa

from odin_graph.deadline import deadline
from odin_graph.errors import ConflictError, QueryError

ARROW = "application/vnd.apache.arrow.stream"


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of plain values: times in ISO 8601, what is no number as null."""
    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple() | set() | frozenset():
            return [plain(one) for one in value]
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
        case None | bool() | int() | str():
            return value
    return str(value)


def arrow_stream(first: pa.RecordBatch, batches: Iterator[pa.RecordBatch], seconds: float) -> Iterator[bytes]:
    """An Arrow IPC stream of a first batch and of those that come after it, each of which may take so long."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first)
        yield sink.taken()
        while True:
            with deadline(seconds):
                batch = next(batches, None)
            if batch is None:
                break
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """What a stream is written to, and taken from in pieces."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written can still be taken."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def write_cursor(query: dict[str, Any], state: str, start: int) -> str:
    """Where the next page of an answer begins."""
    said = json.dumps([_digest(query), _digest(state), start])
    return base64.urlsafe_b64encode(said.encode()).decode()


def read_cursor(cursor: str | None, query: dict[str, Any], state: str) -> int:
    """Where a page begins.

    Raises:
        QueryError: It is no cursor, or one of another query.
        ConflictError: The data have changed since the page before.
    """
    if cursor is None:
        return 0
    try:
        of, was, start = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if type(start) is not int or start < 0:
            raise ValueError(start)
    except (ValueError, TypeError, binascii.Error) as error:
        raise QueryError("The cursor is none: give the one of the page before as it is.") from error
    if of != _digest(query):
        raise QueryError("The cursor is of another query: begin without one.")
    if was != _digest(state):
        raise ConflictError("The data have changed since the page before: begin again without a cursor.")
    return start


def _digest(of: Any) -> str:
    return sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:24]
