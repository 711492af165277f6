"""Columns and constants, brought to one type."""

from __future__ import annotations

from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Datum: TypeAlias = "pa.Array | pa.Scalar"

_EXACT: Final = 2**53
"""Up to here, floats represent every integer."""


def cast(values: Datum, to: pa.DataType) -> Datum:
    """The values in another type; a value that does not fit raises ``pa.ArrowInvalid``."""
    return values if values.type == to else values.cast(to)


def unsafe(values: Datum, to: pa.DataType) -> Datum:
    """The values in another type, rounded if necessary."""
    return values if values.type == to else pc.cast(values, to, safe=False)


def where(condition: Datum, value: Datum) -> Datum:
    """The value where the condition is true, null elsewhere."""
    return pc.if_else(condition, value, pa.scalar(None, value.type))


def plain(column: pa.ChunkedArray) -> pa.Array:
    """One array of plain values: not chunked, not coded, no large strings."""
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # older Arrow returns one without chunks for an empty column
        values = pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.cast(values, pa.string()) if pa.types.is_large_string(values.type) else values


def alike(left: Datum, right: Datum) -> tuple[Datum, Datum]:
    """Both sides in one type; an int beside a float becomes a float, rounded beyond 2**53 as in Python."""
    if pa.types.is_null(left.type):
        return _nulls_like(left, right.type), right
    if pa.types.is_null(right.type):
        return left, _nulls_like(right, left.type)
    if not (is_number(left) and is_number(right)):
        return left, right
    wide = pa.int64() if pa.types.is_integer(left.type) and pa.types.is_integer(right.type) else pa.float64()
    return unsafe(left, wide), unsafe(right, wide)


def comparable(left: Datum, right: Datum) -> tuple[Datum, Datum]:
    """Two columns that compare as both sides do: an int and a float by their exact values, without rounding."""
    for side, other in ((left, right), (right, left)):
        if pa.types.is_integer(side.type) and pa.types.is_floating(other.type) and not _fits(side):
            sign = _sign(unsafe(side, pa.int64()), unsafe(other, pa.float64()))
            zero = pa.scalar(0, sign.type)
            return (sign, zero) if side is left else (zero, sign)
    return alike(left, right)


def is_number(values: Datum) -> bool:
    """Whether it holds numbers."""
    return bool(pa.types.is_integer(values.type) or pa.types.is_floating(values.type))


def _fits(numbers: Datum) -> bool:
    """Whether floats represent each of the integers."""
    if isinstance(numbers, pa.Scalar):
        return numbers.as_py() is None or abs(numbers.as_py()) <= _EXACT
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is None or (ends["min"] >= -_EXACT and ends["max"] <= _EXACT)


def _sign(number: Datum, other: Datum) -> Datum:
    """-1, 0 or 1: whether an int is smaller than a float, equal or larger."""
    high, low = pc.greater_equal(other, 2.0**63), pc.less(other, -(2.0**63))
    inside = pc.if_else(pc.or_(high, low), 0.0, other)
    whole = pc.floor(inside)
    below = unsafe(whole, pa.int64())
    rest = pc.if_else(pc.greater(inside, whole), -1, 0)
    sign = pc.if_else(pc.less(number, below), -1, pc.if_else(pc.greater(number, below), 1, rest))
    return where(pc.is_valid(number), pc.if_else(high, -1, pc.if_else(low, 1, sign)))


def _nulls_like(values: Datum, to: pa.DataType) -> Datum:
    return pa.scalar(None, to) if isinstance(values, pa.Scalar) else pa.nulls(len(values), to)
