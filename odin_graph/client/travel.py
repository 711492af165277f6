"""Answers of served functions in JSON. Nothing is unpickled: what comes is plain values, arrays, tables, known classes.

To what `odin_graph.query.plan.json_values` has there is added:

=============================  ==================================================
``{"$array": "..."}``          NumPy's .npy, without objects, in base64
``{"$objects": [...]}``        an array of objects, one axis
``{"$table": "..."}``          an Arrow IPC stream in base64
``{"$tuple": [...]}``          a tuple
``{"$items": [[k, v], ...]}``  a mapping, whose keys may be anything
``{"$task": "regression"}``    a task, with its parameters
``{"$object": [name, {}]}``    a dataclass of `odin_graph.served.TRAVELS`, by field
=============================  ==================================================
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Part
from odin_graph.query.plan import json_values, wire
from odin_graph.query.plan.plan import Plan
from odin_graph.schema.tasks import Task, parse_task, spell_task
from odin_graph.served import TRAVELS


def to_json(value: Any, most: int) -> Any:
    """The JSON form of a function's result.

    Args:
        value: Of the types that the module's docstring lists.
        most: The largest number of bytes; each value counts as at least 16.

    Raises:
        QueryError: There are more.
    """
    return _Packing(most).of(value)


class _Packing:
    """Packs values and counts their bytes."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def of(self, value: Any) -> Any:
        self._take(16)
        match value:
            case np.ndarray():
                return self._array(value)
            case pa.Table():
                return {"$table": self._base64(_stream_of(value))}
            case list():
                return [self.of(item) for item in value]
            case tuple():
                return {"$tuple": [self.of(item) for item in value]}
            case Mapping() if not hasattr(value, "element_id"):
                return {"$items": [[self.of(key), self.of(item)] for key, item in value.items()]}
        if is_dataclass(value) and TRAVELS.get(type(value).__name__) is type(value):
            values = {field.name: self.of(getattr(value, field.name)) for field in fields(value) if field.init}
            return {"$object": [type(value).__name__, values]}
        if isinstance(value, Task):
            return {"$task": spell_task(value)}
        if isinstance(value, str | bytes):
            self._take(len(value))
        return json_values.to_json(value)

    def _array(self, array: NDArray[Any]) -> Any:
        if array.dtype == object:
            return {"$objects": self.of(array.tolist())}
        out = io.BytesIO()
        np.save(out, array, allow_pickle=False)
        return {"$array": self._base64(out.getbuffer())}

    def _base64(self, data: bytes | memoryview) -> str:
        self._take(len(data))
        return base64.b64encode(data).decode()

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise QueryError(
                f"The answer takes more than {self._most:,} bytes, which is more than travels at once: ask of fewer "
                "images."
            )


def _stream_of(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def from_json(data: Any) -> Any:
    """The value that `to_json` was given.

    Raises:
        QueryError: It holds what this odin_graph does not know: the server's is newer.
    """
    if isinstance(data, list):
        return [from_json(item) for item in data]
    if not isinstance(data, dict) or len(data) != 1:
        return json_values.from_json(data)
    ((tag, packed),) = data.items()
    return _READ[tag](packed) if tag in _READ else json_values.from_json(data)


def _objects(packed: Any) -> NDArray[Any]:
    array = np.empty(len(packed), object)
    array[:] = from_json(packed)
    return array


def _dataclass(packed: Any) -> Any:
    name, values = packed
    if name not in TRAVELS:
        raise QueryError(f"The answer holds a {name}, which this odin_graph does not know: upgrade it.")
    return TRAVELS[name](**{field: from_json(item) for field, item in values.items()})


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "$array": lambda packed: np.load(io.BytesIO(base64.b64decode(packed)), allow_pickle=False),
    "$objects": _objects,
    "$table": lambda packed: pa.ipc.open_stream(base64.b64decode(packed)).read_all(),
    "$tuple": lambda packed: tuple(from_json(item) for item in packed),
    "$items": lambda packed: {from_json(key): from_json(item) for key, item in packed},
    "$task": parse_task,
    "$object": _dataclass,
}


def argument_to_json(value: Any) -> Any:
    """An argument of a served function: queries, parts of them, plain values, and what knows its own form."""
    if isinstance(value, Plan):
        return wire.to_json(value)
    if hasattr(value, "argument_json"):
        return value.argument_json()
    if isinstance(value, Part):
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    if isinstance(value, list | tuple):
        return [argument_to_json(item) for item in value]
    return json_values.to_json(value)
