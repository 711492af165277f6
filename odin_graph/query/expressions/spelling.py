"""Expressions as Python code: for `repr`, for `explain()` and for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    PredictionField,
    Relation,
    SortKey,
    UnitAggregate,
    UnitGroup,
    Value,
)

_METHODS = {
    "starts-with",
    "ends-with",
    "contains",
    "matches",
    "lower",
    "upper",
    "strip",
    "length",
    "has",
    "fill-null",
    "if-else",
}
"""Functions that an expression has as methods; the others are those of ``fn``."""
_SHOWN = 5
"""Values of a list that are spelt out."""


def spell(node: Node) -> str:  # noqa: C901 - one case a node
    """The expression as Python."""
    match node:
        case Value():
            return _literal(node)
        case ImageField(name):
            return f'F("{name}")'
        case FrozenLabel():
            return 'F("label")'
        case PredictionField(experiment, _, name, argument):
            call = f"({argument.value!r})" if argument is not None else ""
            return f"{experiment}.{name}{call}"
        case Compare(op, left, right):
            return f"{_bracketed(left)} {op} {_bracketed(right)}"
        case Arithmetic(op, left, right):
            return f"{_bracketed(left)} {op} {_bracketed(right)}"
        case And(operands):
            return " & ".join(map(_bracketed, operands))
        case Or(operands):
            return " | ".join(map(_bracketed, operands))
        case Not(operand):
            return f"~{_bracketed(operand)}"
        case IsIn(operand, values):
            return f"{_bracketed(operand)}.isin([{some(map(_literal, values))}])"
        case IsNull(operand):
            return f"{_bracketed(operand)}.is_null()"
        case UnitAggregate(group, function, weights):
            given = "" if weights is None else f"[{some(f'{weight:g}' for weight in weights)}]"
            return spell_group(group) + ("" if function == "value" else f".{function.replace('-', '_')}({given})")
        case Relation(name, to, role):
            role_text = f", role={role!r}" if role is not None else ""
            return f"{name.replace('-', '_')}({to!r}{role_text})"
        case Aggregate(function, operand):
            return f"{function.replace('-', '_')}()" if operand is None else _method(operand, function, ())
        case Added(name):
            return f'F("{name}")'
        case Call(function, operands):
            if function in _METHODS and operands:
                return _method(operands[0], function, operands[1:])
            return f"fn.{function.replace('-', '_')}({', '.join(map(spell, operands))})"
    assert_never(node)


def _literal(value: Value) -> str:
    """The literal as Python code: infinity is no text."""
    return repr(value.python() if value.type == "float" else value.value)


def spell_group(group: UnitGroup) -> str:
    """Units as Python."""
    shown = some(map(str, group.numbers))
    index = shown if len(group.numbers) == 1 else f"[{shown}]"
    view = group.view if group.view == "units" else f"{group.view.replace('-', '.')}()"
    return f"{group.experiment}:{group.layer}.{view}[{index}]"


def some(texts: Iterable[str]) -> str:
    """The first of a list, and how many more there are."""
    listed = list(texts)
    more = f", ... {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def first_line(text: str, length: int = 60) -> str:
    """A text on one line, cut short visibly."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def _method(operand: Node, name: str, others: tuple[Node, ...]) -> str:
    return f"{_bracketed(operand)}.{name.replace('-', '_')}({', '.join(map(spell, others))})"


def spell_key(key: SortKey) -> str:
    """A sort key as Python."""
    return f"{_bracketed(key.value)}.desc()" if key.descending else spell(key.value)


def _bracketed(node: Node) -> str:
    text = spell(node)
    return f"({text})" if isinstance(node, Compare | Arithmetic | And | Or) else text
