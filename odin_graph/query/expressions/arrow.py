"""Evaluates an expression over Arrow columns, by SQL's three values.

One of two independent compilations; the other is `odin_graph.query.cypher.expression`. A differential test compares
both with a plain Python loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.columns.floats import canonical
from odin_graph.errors import QueryError
from odin_graph.query.expressions import nodes
from odin_graph.query.expressions.datum import Datum, alike, cast, comparable, unsafe, where
from odin_graph.query.expressions.functions import FUNCTIONS
from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    Field,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    PredictionField,
    Relation,
    UnitAggregate,
    Value,
)
from odin_graph.query.expressions.types import of_arrow

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
            case ImageField() | FrozenLabel() | PredictionField() | Relation():
                return self._column(node)
            case UnitAggregate() | Added() | Aggregate():
                return canonical(self._column(node))
            case Compare(op, left, right):
                return _compare(op, self.visit(left), self.visit(right))
            case Arithmetic("/", left, right):
                return canonical(_divide(self.visit(left), self.visit(right)))
            case Arithmetic(op, left, right):
                return canonical(_calculate(op, self.visit(left), self.visit(right)))
            case And(operands):
                return self._fold(pc.and_kleene, operands)
            case Or(operands):
                return self._fold(pc.or_kleene, operands)
            case Not(operand):
                return pc.invert(self._truth(operand))
            case IsIn(operand, values):
                return _is_in(self.visit(operand), values)
            case IsNull(operand):
                return pc.is_null(self.visit(operand))
            case Call(function, operands):
                registered, arguments = FUNCTIONS.get(function), list(map(self.visit, operands))
                if registered.strict and _valueless(*arguments):
                    return pa.scalar(None)
                return canonical(registered(*arguments))
        assert_never(node)

    def _fold(self, join: Callable[[Datum, Datum], Datum], operands: tuple[Node, ...]) -> Datum:
        first, *others = map(self._truth, operands)
        for other in others:
            first = join(first, other)
        return first

    def _truth(self, node: Node) -> Datum:
        return cast(self.visit(node), pa.bool_())


def _compare(op: str, left: Datum, right: Datum) -> Datum:
    if _valueless(left, right):
        return pa.scalar(None, pa.bool_())
    return _COMPARE[op](*comparable(left, right))


def _divide(left: Datum, right: Datum) -> Datum:
    divisor = unsafe(right, pa.float64())
    divisors = where(pc.not_equal(divisor, 0.0), divisor)
    return pc.divide(unsafe(left, pa.float64()), divisors)


def _calculate(op: str, left: Datum, right: Datum) -> Datum:
    return pa.scalar(None) if _valueless(left, right) else _CALCULATE[op](*alike(left, right))


def _valueless(*values: Datum) -> bool:
    """Whether one is a field without any value yet: a result computed from it has neither value nor type."""
    return any(pa.types.is_null(value.type) for value in values)


def _is_in(operand: Datum, values: tuple[Value, ...]) -> Datum:
    if not values:
        return pa.scalar(False)
    if pa.types.is_null(operand.type):
        return pa.scalar(None, pa.bool_())
    members = nodes.alike(values, of_arrow(operand.type))
    contained = pc.is_in(operand, value_set=pa.array(members, operand.type))
    return pc.if_else(pc.is_null(operand), pa.scalar(None, pa.bool_()), contained)
