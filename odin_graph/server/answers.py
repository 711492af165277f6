"""From Arrow to JSON and to Arrow streams."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import pyarrow as pa
from fastapi import Response

from odin_graph.client.link import WARNINGS
from odin_graph.deadline import deadline
from odin_graph.errors import ConflictError, QueryError
from odin_graph.query.plan.json_values import to_json

ARROW = "application/vnd.apache.arrow.stream"
_WARNINGS: Final = 5
"""Warnings in a header, which may have only a few KB."""
_ROWS: Final = 256
"""Rows that are converted to Python at once."""
_PIECE: Final = 1 << 20
"""Bytes of an Arrow stream that are in memory at once."""


def warning_headers(found: Iterable[Warning]) -> dict[str, str]:
    """The header for the warnings of an answer: JSON, a class and a text each."""
    listed = [[type(warning).__name__, f"{warning!s:.1000}"] for warning in found]
    return {WARNINGS: json.dumps(listed[:_WARNINGS])} if listed else {}


def json_answer(content: Any) -> Response:
    """An answer in JSON, encoded by the caller's thread, not by the event loop."""
    return Response(_bytes(_text(content)), media_type="application/json")


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows of plain values, each with every column; null where there is no value."""
    return [{name: to_json(value) for name, value in row.items()} for row in table.to_pylist()]


def page_of(batch: pa.RecordBatch, most: int) -> list[str]:
    """Rows of a page as texts: as many as go into so many bytes, but one at least."""
    texts: list[str] = []
    size = 0
    for start in range(0, batch.num_rows, _ROWS):
        for row in rows_of(batch.slice(start, _ROWS)):
            text = _text(row)
            size += len(text)
            if size > most and texts:
                return texts
            texts.append(text)
    return texts


def page_answer(rows: list[str], total: int, cursor: str | None, headers: Mapping[str, str]) -> Response:
    """A page of rows that are texts already."""
    end = _text({"total": total, "cursor": cursor})[1:]
    return Response(_bytes(f'{{"rows":[{",".join(rows)}],{end}'), media_type="application/json", headers=dict(headers))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can only spell
        return json.dumps(json.loads(text), separators=(",", ":")).encode()


def arrow_stream(first: pa.RecordBatch, batches: Iterator[pa.RecordBatch], seconds: float) -> Iterator[bytes]:
    """An Arrow IPC stream of a first batch and of those that come after it, each of which may take so long."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, first.schema) as writer:
        batch: pa.RecordBatch | None = first
        while batch is not None:
            rows = max(1, batch.num_rows * _PIECE // max(batch.nbytes, _PIECE))
            for start in range(0, max(1, batch.num_rows), rows):
                writer.write_batch(batch.slice(start, rows))
                yield sink.take()
            with deadline(seconds):
                batch = next(batches, None)
    yield sink.take()


class _Sink:
    """A file-like buffer that a stream is written to, and that is emptied piece by piece."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is buffered elsewhere."""

    def close(self) -> None:
        """Keep the rest: it can still be taken."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def write_cursor(query: dict[str, Any], state: str, start: int) -> str:
    """The cursor of the next page of an answer."""
    fields = json.dumps([_digest(query), _digest(state), start])
    return base64.urlsafe_b64encode(fields.encode()).decode()


def read_cursor(cursor: str | None, query: dict[str, Any], state: str) -> int:
    """The row at which a page begins.

    Raises:
        QueryError: It is no cursor, or one of another query.
        ConflictError: The data have changed since the page before.
    """
    if cursor is None:
        return 0
    try:
        query_digest, state_digest, start = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if type(start) is not int or start < 0:
            raise ValueError(start)
    except (ValueError, TypeError, binascii.Error) as error:
        raise QueryError("The cursor is none: give the one of the page before as it is.") from error
    if query_digest != _digest(query):
        raise QueryError("The cursor is of another query: begin without one.")
    if state_digest != _digest(state):
        raise ConflictError("The data have changed since the page before: begin again without a cursor.")
    return start


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]
