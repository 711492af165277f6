"""Evaluates an expression over Arrow columns, by SQL's three values.

One of two independent compilations; the other is `odin_graph.query.cypher`. A differential test holds both against a
plain Python loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.datum import Datum, cast, comparable, unsafe, where
from odin_graph.query.functions import FUNCTIONS
from odin_graph.query.nodes import (
    Added,
    Aggregate,
    Arithmetic,
    Both,
    Call,
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
    Relation,
    UnitAggregate,
    Value,
)

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
            case (
                ImageField() | FrozenLabel() | PredictionField() | UnitAggregate() | Relation() | Added() | Aggregate()
            ):
                return self._column(node)
            case Compare(op, left, right):
                return _COMPARE[op](*comparable(self.visit(left), self.visit(right)))
            case Arithmetic("/", left, right):
                return _divide(self.visit(left), self.visit(right))
            case Arithmetic(op, left, right):
                return _CALCULATE[op](*comparable(self.visit(left), self.visit(right)))
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
            case Call(function, operands):
                held, given = FUNCTIONS.get(function), list(map(self.visit, operands))
                if held.strict and any(pa.types.is_null(one.type) for one in given):
                    return pa.scalar(None)  # a field of which no image has a value yet
                return held(*given)
        assert_never(node)

    def _fold(self, join: Callable[[Datum, Datum], Datum], operands: tuple[Node, ...]) -> Datum:
        first, *others = map(self._truth, operands)
        for other in others:
            first = join(first, other)
        return first

    def _truth(self, node: Node) -> Datum:
        return cast(self.visit(node), pa.bool_())


def _divide(left: Datum, right: Datum) -> Datum:
    divisor = unsafe(right, pa.float64())
    some = where(pc.not_equal(divisor, 0.0), divisor)
    return pc.divide(unsafe(left, pa.float64()), some)


def _is_in(found: Datum, values: tuple[Value, ...]) -> Datum:
    if not values:
        return pa.scalar(False)
    plain: list[Any] = [value.python() for value in values]
    if pa.types.is_integer(found.type):
        plain = [int(value) for value in plain if float(value).is_integer() or type(value) is int]
    held = found.type if not pa.types.is_null(found.type) else None
    belongs = pc.is_in(found, value_set=pa.array(plain, type=held))
    return pc.if_else(pc.is_null(found), pa.scalar(None, pa.bool_()), belongs)
