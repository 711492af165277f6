"""The obvious loop: an expression over one image as plain Python, None for unknown. It marks nobody's own work."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, assert_never

from odin_graph.query.nodes import (
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


def value_of(node: Node, row: Row) -> Any:  # noqa: C901 - one case a node
    """The value of an expression for one image; None is SQL's null."""
    match node:
        case Value():
            return node.python()
        case ImageField() | FrozenLabel() | PredictionField():
            return row[node]
        case Compare(op, left, right) | Arithmetic(op, left, right):
            a, b = value_of(left, row), value_of(right, row)
            if a is None or b is None:
                return None
            if op == "/":
                return None if b == 0 else float(a) / float(b)
            return _OPERATORS[op](a, b)
        case Both(operands):
            said = [value_of(operand, row) for operand in operands]
            return False if False in said else None if None in said else True
        case Either(operands):
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
        case Text(op, operand, pattern):
            held = value_of(operand, row)
            if held is None:
                return None
            tests = {"starts_with": held.startswith, "ends_with": held.endswith, "contains": held.__contains__}
            return tests[op](pattern)
    assert_never(node)
