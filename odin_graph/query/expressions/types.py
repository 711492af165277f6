"""The types of expressions, known when a step is built: comparing a string with a number is always an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, assert_never

import pyarrow as pa

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions.aggregates import AGGREGATES
from odin_graph.query.expressions.functions import ANY, FUNCTIONS, Takes
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
    SortKey,
    UnitAggregate,
    Value,
)
from odin_graph.query.expressions.place import at_node
from odin_graph.query.expressions.spelling import spell

TypeOf: TypeAlias = Callable[[Field], str]
"""The type of a field: one of `nodes.ValueType`, a list type, or ``null`` where no image has a value yet."""

NUMBERS = frozenset({"int", "float"})
ORDERED = frozenset({"int", "float", "string", "date", "datetime"})
_WITH_ARTICLE = {"int": "an int", "null": "always missing"}


def check_predicate(node: Node, type_of: TypeOf) -> None:
    """Refuse a predicate whose types do not fit, or that is no predicate.

    Raises:
        ExpressionError: Names the part, the types and the remedy.
    """
    found = infer(node, type_of)
    if found not in ("bool", "null"):
        with at_node(node):
            raise ExpressionError(
                f"{spell(node)} is {_a(found)}, no condition: compare it with something, or ask .is_null() of it."
            )


def check_sort_key(key: SortKey, type_of: TypeOf) -> None:
    """Refuse a key whose type has no order."""
    found = infer(key.value, type_of)
    if found not in ORDERED | {"bool", "null"}:
        raise ExpressionError(f"{spell(key.value)} is {_a(found)}, which has no order: order by another field.")


def infer(node: Node, type_of: TypeOf) -> str:
    """The type of an expression.

    Raises:
        ExpressionError: Its parts do not fit each other.
    """
    with at_node(node):
        return _infer(node, type_of)


def _infer(node: Node, type_of: TypeOf) -> str:  # noqa: C901 - one case a node
    match node:
        case Value(found):
            return found
        case ImageField() | FrozenLabel() | PredictionField() | UnitAggregate() | Relation() | Added() | Aggregate():
            return type_of(node)
        case Compare(op, left, right):
            _check_comparable(node, op, infer(left, type_of), infer(right, type_of))
            return "bool"
        case Arithmetic(op, left, right):
            return _arithmetic(node, op, infer(left, type_of), infer(right, type_of))
        case And(operands) | Or(operands):
            for operand in operands:
                check_predicate(operand, type_of)
            return "bool"
        case Not(operand):
            check_predicate(operand, type_of)
            return "bool"
        case IsIn(operand, values):
            of = infer(operand, type_of)
            for value in values:
                _check_comparable(node, "==", of, value.type)
            return "bool"
        case IsNull(operand):
            infer(operand, type_of)
            return "bool"
        case Call():
            return _call(node, type_of)
    assert_never(node)


def of_arrow(arrow_type: pa.DataType) -> str:
    """The type of an Arrow column, in the words of `nodes.ValueType`."""
    if pa.types.is_dictionary(arrow_type):
        return of_arrow(arrow_type.value_type)
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type) or pa.types.is_fixed_size_list(arrow_type):
        return f"list[{of_arrow(arrow_type.value_type)}]"
    tests: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
        ("bool", pa.types.is_boolean),
        ("int", pa.types.is_integer),
        ("float", pa.types.is_floating),
        ("string", pa.types.is_string),
        ("string", pa.types.is_large_string),
        ("date", pa.types.is_date),
        ("datetime", pa.types.is_timestamp),
        ("null", pa.types.is_null),
    )
    for name, test in tests:
        if test(arrow_type):
            return name
    return str(arrow_type)


def _check_comparable(node: Node, op: str, left: str, right: str) -> None:
    if "null" in (left, right):
        return
    if left != right and not {left, right} <= NUMBERS:
        raise ExpressionError(f"{spell(node)} compares {_a(left)} with {_a(right)}: give {_a(left)}.")
    if op in ("==", "!="):
        if left not in ORDERED | {"bool"}:
            raise ExpressionError(
                f"{spell(node)} compares {_a(left)}: of such a field only .is_null() can be asked here."
            )
    elif left not in ORDERED:
        raise ExpressionError(f"{spell(node)}: {_a(left)} has no order, so only == and != compare it.")


def _arithmetic(node: Node, op: str, left: str, right: str) -> str:
    for found in (left, right):
        if found not in NUMBERS | {"null"}:
            raise ExpressionError(f"{spell(node)} calculates with {_a(found)}: {op} takes numbers.")
    if op == "/" or "float" in (left, right):
        return "float"
    return "null" if "null" in (left, right) else "int"


def _call(node: Call, type_of: TypeOf) -> str:
    registered = FUNCTIONS.get(node.function)
    name = node.function.replace("-", "_")
    if len(node.operands) != len(registered.takes):
        raise ExpressionError(f"{name}() takes {len(registered.takes)} values, not {len(node.operands)}.")
    found = [infer(operand, type_of) for operand in node.operands]
    for takes, operand, type_ in zip(registered.takes, node.operands, found, strict=True):
        if type_ not in takes.types | {"null"}:
            raise ExpressionError(f"{spell(node)}: {spell(operand)} is {_a(type_)}, and {name}() takes {_any(takes)}.")
        if takes.literal and not isinstance(operand, Value):
            raise ExpressionError(f"{spell(node)}: {name}() takes a plain value, not {spell(operand)}.")
    try:
        if registered.check is not None:
            registered.check([operand.python() if isinstance(operand, Value) else None for operand in node.operands])
        return registered.result(found)
    except ExpressionError as error:
        raise ExpressionError(f"{spell(node)}: {error}.") from error


def counted(function: str, operand: Node, type_of: TypeOf) -> Node:
    """The operand of an aggregate: a condition counts as 1 and 0 where numbers are taken."""
    takes = AGGREGATES.get(function).takes
    if takes is None or "bool" in takes.types or "int" not in takes.types or infer(operand, type_of) != "bool":
        return operand
    return Call("if-else", (operand, Value("int", 1), Value("int", 0)))


def of_aggregate(node: Aggregate, type_of: TypeOf) -> str:
    """The type of an aggregate; raises as `infer` does."""
    registered, name = AGGREGATES.get(node.function), node.function.replace("-", "_")
    if node.operand is None:
        if registered.takes is not None:
            raise ExpressionError(f'{name}() is of something, as in F("age").{name}().')
        return registered.result("null")
    type_, takes = infer(node.operand, type_of), registered.takes or ANY
    if type_ not in takes.types | {"null"}:
        raise ExpressionError(f"{spell(node)}: {spell(node.operand)} is {_a(type_)}, and {name}() takes {_any(takes)}.")
    return registered.result(type_)


def _any(takes: Takes) -> str:
    return " or ".join(_a(name) for name in sorted(takes.types))


def _a(name: str) -> str:
    return _WITH_ARTICLE.get(name, f"a {name}")
