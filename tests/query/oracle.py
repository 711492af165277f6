"""The obvious loop: an expression over one image as plain Python, None for unknown. It marks nobody's own work.

NaN is unknown however it came about, -0.0 is 0.0 as Python has it, and an int beyond 64 bits raises OverflowError.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from odin_graph.query.expressions.nodes import (
    INT64,
    Added,
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
    Value,
)

Row = Mapping[Field, Any]

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: None if None in values else function(*values)


def _strict_all(**functions: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    return {name.strip("_").replace("_", "-"): _strict(function) for name, function in functions.items()}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_strict_all(
        starts_with=str.startswith,
        ends_with=str.endswith,
        contains=str.__contains__,
        matches=lambda text, pattern: re.fullmatch(pattern, text) is not None,
        lower=str.lower,
        upper=str.upper,
        strip=str.strip,
        length=len,
        has=lambda held, item: item in held,
        abs=abs,
        floor=lambda number: number if math.isinf(number) else float(math.floor(number)),
        ceil=lambda number: number if math.isinf(number) else float(math.ceil(number)),
        round=lambda number: number if math.isinf(number) else float(round(number)),
        sqrt=lambda number: math.sqrt(number) if number >= 0 else None,
        log=lambda number: math.log(number) if number > 0 else None,
        mod=lambda number, divisor: number % divisor if divisor else None,
        year=lambda day: day.year,
        month=lambda day: day.month,
        day=lambda day: day.day,
        weekday=lambda day: day.weekday(),
        hour=lambda time: time.hour,
        minute=lambda time: time.minute,
    ),
    "fill-null": lambda value, other: other if value is None else value,
    "if-else": lambda condition, value, other: None if condition is None else value if condition else other,
}


def value_of(node: Node, row: Row) -> Any:
    """The value of an expression for one image; None is SQL's null."""
    value = _value_of(node, row)
    if type(value) is int and value not in INT64:
        raise OverflowError(value)
    return value if value == value else None


def _value_of(node: Node, row: Row) -> Any:  # noqa: C901 - one case a node
    match node:
        case Value():
            return node.python()
        case ImageField() | FrozenLabel() | PredictionField() | Relation() | Added():
            return row[node]
        case Compare(op, left, right) | Arithmetic(op, left, right):
            a, b = value_of(left, row), value_of(right, row)
            if a is None or b is None:
                return None
            if op == "/":
                return None if b == 0 else float(a) / float(b)
            if isinstance(node, Arithmetic) and float in (type(a), type(b)):
                a, b = float(a), float(b)
            return _OPERATORS[op](a, b)
        case And(operands):
            said = [value_of(operand, row) for operand in operands]
            return False if False in said else None if None in said else True
        case Or(operands):
            said = [value_of(operand, row) for operand in operands]
            return True if True in said else None if None in said else False
        case Not(operand):
            inner = value_of(operand, row)
            return None if inner is None else not inner
        case IsIn(operand, values):
            held = value_of(operand, row)
            if not values:
                return False
            return None if held is None else any(held == value.python() for value in values)
        case IsNull(operand):
            return value_of(operand, row) is None
        case Call(function, operands):
            return FUNCTIONS[function](*(value_of(operand, row) for operand in operands))
    assert_never(node)
