"""How many rows a predicate keeps, by the statistics of the columns, or by usual shares where there are none.

Selinger et al., Access Path Selection in a Relational Database Management System (SIGMOD 1979), section 4, with
histograms in place of its uniform distributions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from math import prod
from typing import Any, Final, TypeAlias

from odin_graph.columns.statistics import Statistics
from odin_graph.query.expressions.nodes import (
    And,
    Call,
    Compare,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    Value,
    children,
)

Known: TypeAlias = Callable[[Node], Statistics | None]
"""The statistics of a field, where there are any."""

_EQUAL, _RANGE, _OTHER, _NULL = 0.1, 1 / 3, 0.5, 0.1
_FLIPPED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_COSTS: Final = {"matches": 20.0}
_CALL: Final = 4.0
_GROUPS: Final = 100.0
"""Values of which nothing is known."""


def selectivity(node: Node, known: Known) -> float:
    """The share of rows of which a predicate is true, between 0 and 1."""
    return _shares(node, known)[0]


def combinations(nodes: Iterable[Node], known: Known) -> float:
    """How many combinations of values there are."""
    return prod(_values(known(node)) for node in nodes)


def _values(statistics: Statistics | None) -> float:
    return _GROUPS if statistics is None else float(max(statistics.distinct + (statistics.nulls > 0), 1))


def _shares(node: Node, known: Known) -> tuple[float, float]:
    """The shares of rows of which a predicate is true, and false; of the others it is neither."""
    match node:
        case Value(value=value):
            return (1.0, 0.0) if value is True else (0.0, 1.0)
        case Compare(op, left, right):
            share, present = _compared(op, left, right, known)
            return _clipped(share), _clipped(present - share)
        case And(operands):
            alone = [operand for operand in operands if not _bound(operand)]
            true = prod(_shares(operand, known)[0] for operand in alone)
            true *= prod(_range(bounds, known) for bounds in _bounds(operands).values())
            return true, 1 - prod(1 - _shares(operand, known)[1] for operand in operands)
        case Or(operands):
            pairs = [_shares(operand, known) for operand in operands]
            return 1 - prod(1 - true for true, _ in pairs), prod(false for _, false in pairs)
        case Not(operand):
            true, false = _shares(operand, known)
            return false, true
        case IsIn(operand, values):
            statistics = known(operand)
            if statistics is None:
                share = _clipped(_EQUAL * len(values))
                return share, 1 - share
            share = sum(statistics.equal(_python(value)) for value in {*values})
            return _clipped(share), _clipped(statistics.present - share)
        case IsNull(operand):
            statistics = known(operand)
            missing = _NULL if statistics is None else 1 - statistics.present
            return missing, 1 - missing
        case Call():
            return _OTHER, 1 - _OTHER
        case _:
            statistics = known(node)
            return (_OTHER, 1 - _OTHER) if statistics is None else (statistics.equal(True), statistics.equal(False))


def cost(node: Node) -> float:
    """The cost of evaluating it for one row, in comparisons."""
    own = _COSTS.get(node.function, _CALL) if isinstance(node, Call) else 1.0
    return own + sum(cost(child) for child in children(node))


def ordered(operands: tuple[Node, ...], known: Known) -> tuple[Node, ...]:
    """Conditions that all have to hold: first what excludes most rows for its cost. Ties stay as they were."""
    return tuple(sorted(operands, key=lambda node: (selectivity(node, known) - 1) / cost(node)))


def _compared(op: str, left: Node, right: Node, known: Known) -> tuple[float, float]:
    """The share of rows for which it is true, and of those that have a value to compare."""
    if isinstance(left, Value) and not isinstance(right, Value):
        return _compared(_FLIPPED[op], right, left, known)
    usual = _EQUAL if op == "==" else 1 - _EQUAL if op == "!=" else _RANGE
    statistics = known(left) if isinstance(right, Value) else None
    if statistics is None or not isinstance(right, Value):
        return usual, 1.0
    value, present = _python(right), statistics.present
    if op in ("==", "!="):
        equal = statistics.equal(value)
        return (equal if op == "==" else present - equal), present
    below = statistics.below(value)
    if below is None:
        return usual, present
    return (below if op in ("<", "<=") else present - below), present


def _bound(node: Node) -> bool:
    """Whether it is one end of a range."""
    return isinstance(node, Compare) and node.op in ("<", "<=", ">", ">=") and isinstance(node.right, Value)


def _bounds(operands: tuple[Node, ...]) -> dict[Node, list[Compare]]:
    """The ends of ranges by what they bound."""
    found: dict[Node, list[Compare]] = {}
    for operand in operands:
        if isinstance(operand, Compare) and _bound(operand):
            found.setdefault(operand.left, []).append(operand)
    return found


def _range(bounds: list[Compare], known: Known) -> float:
    """The share between the ends: they bound one value, so their shares are not multiplied."""
    statistics = known(bounds[0].left)
    present = 1.0 if statistics is None else statistics.present
    shares = [_shares(bound, known)[0] for bound in bounds]
    if statistics is None:
        return prod(shares)
    return _clipped(present - sum(present - share for share in shares))


def _python(value: Value) -> Any:
    plain = value.python()
    return plain.replace(tzinfo=UTC) if isinstance(plain, datetime) else plain


def _clipped(share: float) -> float:
    return min(max(share, 0.0), 1.0)
