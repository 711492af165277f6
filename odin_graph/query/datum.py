"""Columns and constants, brought to one type."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.nodes import INT64

Datum: TypeAlias = "pa.Array | pa.Scalar"


def cast(found: Datum, to: pa.DataType) -> Datum:
    """The same in another type; a value that does not fit raises ``pa.ArrowInvalid``."""
    return found if found.type == to else found.cast(to)


def unsafe(found: Datum, to: pa.DataType) -> Datum:
    """The same in another type, rounded where it must be."""
    return found if found.type == to else pc.cast(found, to, safe=False)


def where(condition: Datum, value: Datum) -> Datum:
    """The value where the condition is true, null elsewhere."""
    return pc.if_else(condition, value, pa.scalar(None, value.type))


def plain(column: pa.ChunkedArray) -> pa.Array:
    """One array of plain values: not chunked, not coded, no large strings."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # older Arrow gives one of no chunks back for an empty column
        values = pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.cast(values, pa.string()) if pa.types.is_large_string(values.type) else values


def comparable(left: Datum, right: Datum) -> tuple[Datum, Datum]:
    """Both sides in one type: Arrow's own conversion of int64 to double refuses numbers beyond 2**53."""
    if pa.types.is_null(left.type):
        return _nulls_like(left, right.type), right
    if pa.types.is_null(right.type):
        return left, _nulls_like(right, left.type)
    if not (_is_number(left) and _is_number(right)):
        return left, right
    left, right = _exact(left, right), _exact(right, left)
    wide = pa.int64() if pa.types.is_integer(left.type) and pa.types.is_integer(right.type) else pa.float64()
    return unsafe(left, wide), unsafe(right, wide)


def _is_number(found: Datum) -> bool:
    return bool(pa.types.is_integer(found.type) or pa.types.is_floating(found.type))


def _exact(literal: Datum, other: Datum) -> Datum:
    """A float literal without a fraction, beside integers, as an integer: large ones then compare exactly."""
    if isinstance(literal, pa.Scalar) and pa.types.is_floating(literal.type) and pa.types.is_integer(other.type):
        value = literal.as_py()
        if value is not None and value.is_integer() and int(value) in INT64:
            return pa.scalar(int(value))
    return literal


def _nulls_like(found: Datum, to: pa.DataType) -> Datum:
    return pa.scalar(None, to) if isinstance(found, pa.Scalar) else pa.nulls(len(found), to)
