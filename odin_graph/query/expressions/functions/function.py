"""Functions of an image's values: ``F("site").lower()``, ``fn.year(F("seen"))``. An extension point.

A function says what it takes and gives, computes over Arrow columns and, where it can, has a form in Cypher. A missing
operand gives a missing value unless a function says otherwise; so does a place where it is not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Final, TypeAlias

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions.datum import Datum
from odin_graph.registry import Registry

SCALARS: Final = ("bool", "int", "float", "string", "date", "datetime")


@dataclass(frozen=True, slots=True)
class Takes:
    """What stands in one place of a function."""

    types: frozenset[str]
    literal: bool = False
    """A plain value, not an expression."""


ANY: Final = Takes(frozenset({*SCALARS, *(f"list[{name}]" for name in SCALARS)}))
TEXT: Final = Takes(frozenset({"string"}))
PATTERN: Final = Takes(frozenset({"string"}), literal=True)
NUMBER: Final = Takes(frozenset({"int", "float"}))
INTEGER: Final = Takes(frozenset({"int"}))
TRUTH: Final = Takes(frozenset({"bool"}))
ORDERED: Final = Takes(frozenset({"int", "float", "string", "date", "datetime"}))
DAY: Final = Takes(frozenset({"date", "datetime"}))
TIME: Final = Takes(frozenset({"datetime"}))
LIST: Final = Takes(frozenset(f"list[{name}]" for name in SCALARS))
TEXT_OR_LIST: Final = Takes(TEXT.types | LIST.types)

Gives: TypeAlias = "str | Callable[[Sequence[str]], str]"


class Function:
    """One function.

    Args:
        compute: Takes a column or a constant a place, and gives a column, or a constant where all are constants.
        takes: What stands in each place.
        gives: The type of the result; or a function of the operands' types, which raises `ExpressionError` where they
            do not fit each other.
        cypher: Its form in Cypher, ``{0}`` for the first operand; None where it has none.
        check: Looks at the literals among the operands (None for the others) when a query is built.
        strict: Whether a missing operand gives a missing value.
    """

    def __init__(
        self,
        compute: Callable[..., Datum],
        takes: Sequence[Takes],
        gives: Gives,
        cypher: str | None,
        check: Callable[[Sequence[Any]], None] | None,
        strict: bool,
    ) -> None:
        update_wrapper(self, compute)
        self._compute = compute
        self.takes = tuple(takes)
        self.cypher = cypher
        self.check = check
        self.strict = strict
        self._gives = gives

    def __call__(self, *values: Datum) -> Datum:
        """Compute it: a column or a constant a place."""
        return self._compute(*values)

    def result(self, types: Sequence[str]) -> str:
        """The type of the result for operands of these types, which are those it takes, or ``null``.

        Raises:
            ExpressionError: They do not fit each other.
        """
        return self._gives if isinstance(self._gives, str) else self._gives(types)


FUNCTIONS: Registry[Function] = Registry("expression function", "odin_graph.functions")


def function(
    name: str,
    *takes: Takes,
    gives: Gives,
    cypher: str | None = None,
    check: Callable[[Sequence[Any]], None] | None = None,
    strict: bool = True,
) -> Callable[[Callable[..., Datum]], Function]:
    """Register a function under a name: ``lower-case-with-hyphens``, which is ``fn.lower_case_with_hyphens``.

    Example:
        >>> @function("hypotenuse", NUMBER, NUMBER, gives="float", cypher="sqrt({0} * {0} + {1} * {1})")
        ... def hypotenuse(a, b):
        ...     return pc.sqrt(pc.add(pc.multiply(a, a), pc.multiply(b, b)))
    """

    def register(compute: Callable[..., Datum]) -> Function:
        return FUNCTIONS.register(name)(Function(compute, takes, gives, cypher, check, strict))

    return register


def one_type(types: Sequence[str]) -> str:
    """The one type that all have, ints widened to float; for functions that choose between values.

    Raises:
        ExpressionError: There is none.
    """
    distinct = {name for name in types if name != "null"}
    if distinct == {"int", "float"}:
        return "float"
    if len(distinct) > 1:
        raise ExpressionError(
            f"its values are of several types, {' and '.join(sorted(distinct))}: give values of one type"
        )
    return distinct.pop() if distinct else "null"
