"""Evaluates an expression over Arrow columns, by SQL's three values.

One of two independent compilations; the other is `odin_graph.query.cypher`. A differential test holds both against a
plain Python loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.nodes import (
    INT64,
    Arithmetic,
    Both,
    Compare,
    Either,
    Field,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    PredictionField,
    Text,
    Value,
)

Datum: TypeAlias = "pa.Array | pa.Scalar"

_COMPARE: dict[str, Callable[[Datum, Datum], Datum]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_CALCULATE: dict[str, Callable[[Datum, Datum], Datum]] = {
    "+": pc.add_checked,
    "-": pc.subtract_checked,
    "*": pc.multiply_checked,
}
_TEXT: dict[str, Callable[..., Datum]] = {
    "starts_with": pc.starts_with,
    "ends_with": pc.ends_with,
    "contains": pc.match_substring,
}


def evaluate(node: Node, column: Callable[[Field], pa.Array], rows: int) -> pa.Array:
    """The values of an expression, one a row.

    Args:
        node: A bound and checked expression.
        column: Gives the values of a field, one a row.
        rows: How many rows there are.

    Raises:
        QueryError: Integer arithmetic leaves 64 bits.
    """
    try:
        found = _Evaluator(column).visit(node)
    except pa.ArrowInvalid as error:
        if "overflow" in str(error):
            raise QueryError(
                f"Integer arithmetic leaves 64 bits: multiply by 1.0 to calculate in floats ({error})."
            ) from error
        raise
    return pa.repeat(found, rows) if isinstance(found, pa.Scalar) else found


class _Evaluator:
    def __init__(self, column: Callable[[Field], pa.Array]) -> None:
        self._column = column

    def visit(self, node: Node) -> Datum:  # noqa: C901 - one case a node
        match node:
            case Value("datetime"):
                return pa.scalar(node.python(), pa.timestamp("us", tz="UTC"))
            case Value():
                return pa.scalar(node.python())
            case ImageField() | FrozenLabel() | PredictionField():
                return self._column(node)
            case Compare(op, left, right):
                return _COMPARE[op](*_comparable(self.visit(left), self.visit(right)))
            case Arithmetic("/", left, right):
                return _divide(self.visit(left), self.visit(right))
            case Arithmetic(op, left, right):
                return _CALCULATE[op](*_comparable(self.visit(left), self.visit(right)))
            case Both(operands):
                return self._fold(pc.and_kleene, operands)
            case Either(operands):
                return self._fold(pc.or_kleene, operands)
            case Not(operand):
                return pc.invert(self._truth(operand))
            case IsIn(operand, values):
                return _is_in(self.visit(operand), values)
            case IsNull(operand):
                return pc.is_null(self.visit(operand))
            case Text(op, operand, pattern):
                return _TEXT[op](_cast(self.visit(operand), pa.string()), pattern=pattern)
        assert_never(node)

    def _fold(self, join: Callable[[Datum, Datum], Datum], operands: tuple[Node, ...]) -> Datum:
        first, *others = map(self._truth, operands)
        for other in others:
            first = join(first, other)
        return first

    def _truth(self, node: Node) -> Datum:
        return _cast(self.visit(node), pa.bool_())


def _cast(found: Datum, to: pa.DataType) -> Datum:
    return found if found.type == to else found.cast(to)


def _is_number(found: Datum) -> bool:
    return bool(pa.types.is_integer(found.type) or pa.types.is_floating(found.type))


def _comparable(left: Datum, right: Datum) -> tuple[Datum, Datum]:
    """Both sides in one type: Arrow's own conversion of int64 to double refuses numbers beyond 2**53."""
    if pa.types.is_null(left.type):
        return _nulls_like(left, right.type), right
    if pa.types.is_null(right.type):
        return left, _nulls_like(right, left.type)
    if not (_is_number(left) and _is_number(right)):
        return left, right
    left, right = _exact(left, right), _exact(right, left)
    wide = pa.int64() if pa.types.is_integer(left.type) and pa.types.is_integer(right.type) else pa.float64()
    return _unsafe(left, wide), _unsafe(right, wide)


def _exact(literal: Datum, other: Datum) -> Datum:
    """A float literal without a fraction, beside integers, as an integer: large ones then compare exactly."""
    if isinstance(literal, pa.Scalar) and pa.types.is_floating(literal.type) and pa.types.is_integer(other.type):
        value = literal.as_py()
        if value is not None and value.is_integer() and int(value) in INT64:
            return pa.scalar(int(value))
    return literal


def _unsafe(found: Datum, to: pa.DataType) -> Datum:
    return found if found.type == to else pc.cast(found, to, safe=False)


def _nulls_like(found: Datum, to: pa.DataType) -> Datum:
    return pa.scalar(None, to) if isinstance(found, pa.Scalar) else pa.nulls(len(found), to)


def _divide(left: Datum, right: Datum) -> Datum:
    divisor = _unsafe(right, pa.float64())
    some = pc.if_else(pc.equal(divisor, 0.0), pa.scalar(None, pa.float64()), divisor)
    return pc.divide(_unsafe(left, pa.float64()), some)


def _is_in(found: Datum, values: tuple[Value, ...]) -> Datum:
    if not values:
        return pa.scalar(False)
    plain: list[Any] = [value.python() for value in values]
    if pa.types.is_integer(found.type):
        plain = [int(value) for value in plain if float(value).is_integer() or type(value) is int]
    held = found.type if not pa.types.is_null(found.type) else None
    belongs = pc.is_in(found, value_set=pa.array(plain, type=held))
    return pc.if_else(pc.is_null(found), pa.scalar(None, pa.bool_()), belongs)
