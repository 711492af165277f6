"""Columns that the embedded engine's keeper hands out, as Arrow arrays with the values that Bolt has."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.deadline import remaining
from odin_graph.graph.column_server import FAILED, LENGTH, header_of, received, start_of
from odin_graph.graph.export import Part
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.metadata import FieldType

ANSWER_SECONDS: Final = 60.0
"""Seconds of silence after which Bolt is asked instead."""
_TYPES: Final[Mapping[FieldType, tuple[frozenset[str], pa.DataType]]] = {
    FieldType.INT: (frozenset({"i8"}), pa.int64()),
    FieldType.FLOAT: (frozenset({"f8", "i8"}), pa.float64()),
    FieldType.BOOL: (frozenset({"b1"}), pa.bool_()),
    FieldType.STRING: (frozenset({"str"}), pa.string()),
    FieldType.DATE: (frozenset({"dt"}), pa.date32()),
    FieldType.DATETIME: (frozenset({"dt"}), pa.timestamp("us")),
}
"""The columns that have only values of the recorded type, and what they are in Arrow. There is none for lists."""
_TAG: Final = "\x01"
_TAGGED: Final = {"D": date.fromisoformat, "T": datetime.fromisoformat, "Z": datetime.fromisoformat}
"""Values that JSON has not, by their tags."""
_TIMES: Final = (FieldType.DATE, FieldType.DATETIME)
_UTC: Final = pa.timestamp("us", tz="UTC")


class DeclinedError(Exception):
    """The columns are to be read over Bolt."""


def read_columns(path: str, label: str, types: Mapping[str, FieldType]) -> Generator[Part | NDArray[np.int64]]:
    """All nodes with an integer key that are not deleted, in any order, batch by batch.

    Args:
        path: The keeper's socket.
        label: Theirs.
        types: The fields with their recorded types, ``key`` among them.

    Yields:
        The columns by name; or the keys alone, where a value is not plainly of the recorded type: what it is in a
        column is then for Bolt to say.

    Raises:
        DeclinedError: The keeper cannot do it.
        OSError: It has gone, or is silent.
        TimeLimitError: The time is over.
    """
    if not path:
        raise DeclinedError
    lists = any(field.is_list for field in types.values())
    columns = {f"c{place}": quoted(name) for place, name in enumerate(types)}
    for place, (name, field) in enumerate(types.items()):
        if field in _TIMES and not lists:  # columns have milliseconds, and a date is midnight there: the text has all
            columns[f"t{place}"] = f"{quoted(name)}.asString()"
    values = ", ".join(f"{value} AS {column}" for column, value in columns.items())
    statement = f"SELECT {values} FROM {quoted(label)} WHERE {undeleted('').removeprefix('.')}"  # noqa: S608 - quoted
    request = json.dumps({"statement": statement, "columns": [*columns], "rows": lists}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        _wait(connection)
        connection.connect(path)
        connection.sendall(LENGTH.pack(len(request)) + request)
        while True:
            _wait(connection)
            (length,) = LENGTH.unpack(received(connection, LENGTH.size))
            if length == FAILED:
                raise DeclinedError
            if not length:
                return
            batch = received(connection, length)
            if not lists:
                yield from _Batch(batch).columns(types)
            else:
                yield _of_rows(batch, types)


def _wait(connection: socket.socket) -> None:
    left = remaining()
    connection.settimeout(ANSWER_SECONDS if left is None else min(left, ANSWER_SECONDS))


def _of_rows(data: bytes, types: Mapping[str, FieldType]) -> Part:
    """Values as the driver has them, of rows as JSON."""
    first, _, text = data.partition(b"\n")
    others = json.loads(first)

    def restored(found: dict[str, Any]) -> Any:
        if _TAG not in found:
            return found
        tag, value = found[_TAG]
        if tag == "x":
            return others[value]
        if tag not in _TAGGED:
            raise DeclinedError
        return _TAGGED[tag](value)

    rows = json.loads(text, object_hook=restored)
    key = f"c{[*types].index('key')}"
    rows = [row for row in rows if row[key] is not None]
    if not all(type(row[key]) is int for row in rows):
        raise DeclinedError
    return {name: [row[f"c{place}"] for row in rows] for place, name in enumerate(types)}


class _Batch:
    """Columns of some rows as the engine's process made them: null bits (1 is null), then values, of each."""

    def __init__(self, data: bytes) -> None:
        header = header_of(data)
        self.rows = int(header["count"])
        self._columns: dict[str, tuple[str, bytes, bytes]] = {}
        place = start_of(data)
        for column in header["cols"]:
            values = place + column["nulls"]
            end = values + column["bytes"]
            self._columns[column["name"]] = column["type"], data[place:values], data[values:end]
            place = end

    def columns(self, types: Mapping[str, FieldType]) -> Iterator[Mapping[str, pa.Array] | NDArray[np.int64]]:
        """What `read_columns` yields for the batch: once, or not at all where no row has a key."""
        key = self._column([*types].index("key"), FieldType.INT)
        if key is None:
            raise DeclinedError
        keyed = None if key.null_count == 0 else key.is_valid()
        keys = key.drop_null()
        if not len(keys):
            return
        arrays = {}
        for place, (name, field) in enumerate(types.items()):
            array = key if name == "key" else self._column(place, field)
            if array is None:
                yield keys.to_numpy()
                return
            arrays[name] = array if keyed is None else array.filter(keyed)
        yield arrays

    def _column(self, place: int, field: FieldType) -> pa.Array | None:
        """One column; None where a value is of another type than the recorded."""
        kind, nulls, values = self._columns[f"c{place}"]
        kinds, type_ = _TYPES[field]
        if self._nulls(nulls).all():
            return pa.nulls(self.rows, _UTC if field is FieldType.DATETIME else type_)
        if kind not in kinds:
            return None
        if field in _TIMES:
            return self._times(place, field, type_)
        if field is FieldType.STRING:
            return self._texts(nulls, values)
        plain: NDArray[Any] = np.frombuffer(values, {"i8": "<i8", "f8": "<f8", "b1": "?"}[kind])
        if field is FieldType.FLOAT:
            plain = plain.astype(np.float64, copy=False)
        return pa.array(plain, type_, mask=self._nulls(nulls))

    def _times(self, place: int, field: FieldType, type_: pa.DataType) -> pa.Array | None:
        kind, nulls, values = self._columns[f"t{place}"]
        if kind != "str" or nulls != self._columns[f"c{place}"][1]:
            return None
        texts = self._texts(nulls, values)
        if field is FieldType.DATETIME and not pc.all(pc.match_substring(texts, "T")).as_py():  # a date
            return None
        try:
            times = texts.cast(type_)
        except pa.ArrowInvalid:  # finer than microseconds, with a zone, or of the year 10000
            return None
        return times.cast(_UTC) if field is FieldType.DATETIME else times

    def _texts(self, nulls: bytes, values: bytes) -> pa.Array:
        offsets = 4 * (self.rows + 1)
        valid = pa.py_buffer(np.invert(np.frombuffer(nulls, np.uint8)).tobytes())
        return pa.Array.from_buffers(
            pa.string(), self.rows, [valid, pa.py_buffer(values[:offsets]), pa.py_buffer(values[offsets:])]
        )

    def _nulls(self, nulls: bytes) -> NDArray[np.bool_]:
        return np.unpackbits(np.frombuffer(nulls, np.uint8), count=self.rows, bitorder="little").astype(bool)
