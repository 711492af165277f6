"""Which fields a kind has, ours and free metadata, and the Arrow type of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from odin_graph.columns.floats import canonical
from odin_graph.graph.moment import Reader
from odin_graph.schema.metadata import FieldType, decode

OWN: Final[Mapping[str, FieldType]] = {
    "id": FieldType.STRING,
    "key": FieldType.INT,
    "label": FieldType.STRING,
    "digest": FieldType.STRING,
    "file_digest": FieldType.STRING,
    "path": FieldType.STRING,
    "height": FieldType.INT,
    "width": FieldType.INT,
    "bands": FieldType.INT,
    "dtype": FieldType.STRING,
    "created_at": FieldType.DATETIME,
}
"""The fields of an image that are ours and can be asked for. A label has the type that is recorded for it."""

_ARROW: Final = {
    FieldType.INT: pa.int64(),
    FieldType.FLOAT: pa.float64(),
    FieldType.BOOL: pa.bool_(),
    FieldType.STRING: pa.string(),
    FieldType.DATE: pa.date32(),
    FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
}
_PYTHON: Final[Mapping[FieldType, frozenset[type]]] = {
    FieldType.INT: frozenset({int}),
    FieldType.FLOAT: frozenset({float, int}),
    FieldType.BOOL: frozenset({bool}),
    FieldType.STRING: frozenset({str}),
}
"""Values of these classes need no conversion; temporals do, for their zone."""


def fields(graph: Reader, kind: str) -> dict[str, FieldType]:
    """Every field of a kind by name: ours first, then the recorded free metadata by name."""
    own = dict(OWN) if kind == "Image" else {"id": FieldType.STRING}
    rows = graph.read(
        "MATCH (f:Field {kind: $kind}) RETURN f.name AS name, f.type AS type ORDER BY name", {"kind": kind}
    )
    return own | {row["name"]: FieldType(row["type"]) for row in rows}


def arrow_type(field: FieldType) -> pa.DataType:
    """The Arrow type of a field."""
    return pa.list_(_ARROW[field.scalar]) if field.is_list else _ARROW[field]


def column(values: pa.Array | Sequence[Any], field: FieldType) -> pa.Array:
    """Values as the graph hands them out as an Arrow array; one of another type than the recorded is null."""
    if isinstance(values, pa.Array):
        return canonical(values)
    classes = {type(value) for value in values} - {type(None)}
    large = field is FieldType.FLOAT and int in classes  # Arrow refuses integers that a float cannot hold exactly
    if large or not classes <= _PYTHON.get(field, frozenset()):
        values = [decode(value, field) for value in values]
    return canonical(pa.array(values, arrow_type(field)))
