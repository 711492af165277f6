"""The values of a group of units, as expressions of a query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from odin_graph.arguments import whole
from odin_graph.checked import checked_calls
from odin_graph.errors import QueryError
from odin_graph.query.expressions.expressions import Expr, Operand, as_node
from odin_graph.query.expressions.nodes import Compare, CompareOp, SortKey, UnitAggregate, UnitGroup
from odin_graph.query.units.units import as_weights
from odin_graph.schema.several import is_several


@checked_calls
class UnitExpressions(ABC):
    """Mixed into what names a group: its aggregates, and comparisons of a single unit."""

    @property
    @abstractmethod
    def node(self) -> UnitGroup:
        """Its form in a plan."""

    def mean(self) -> Expr:
        """Their mean, as an expression of a query."""
        return self._aggregate("mean")

    def sum(self) -> Expr:
        """Their sum."""
        return self._aggregate("sum")

    def max(self) -> Expr:
        """The largest value."""
        return self._aggregate("max")

    def min(self) -> Expr:
        """The smallest value."""
        return self._aggregate("min")

    def l1(self) -> Expr:
        """The sum of their absolute values."""
        return self._aggregate("l1")

    def l2(self) -> Expr:
        """The square root of the sum of their squares."""
        return self._aggregate("l2")

    def weighted(self, weights: Sequence[float]) -> Expr:
        """The weighted sum of their values."""
        return self._aggregate("weighted", weights)

    def aggregated(self, name: str, weights: Sequence[float] | None = None) -> Expr:
        """A registered aggregate, see `odin_graph.neurons.AGGREGATES`."""
        return self._aggregate(name, weights)

    def value(self) -> Expr:
        """The value of a single unit."""
        return self._aggregate("value")

    def desc(self) -> SortKey:
        """The value of a single unit, the largest first."""
        return self.value().desc()

    def isin(self, values: Iterable[float]) -> Expr:
        """Whether the value of a single unit is one of these."""
        return self.value().isin(values)

    def between(self, low: Operand, high: Operand) -> Expr:
        """Whether the value of a single unit is in ``low <= value <= high``."""
        return self.value().between(low, high)

    def is_null(self) -> Expr:
        """Whether the value of a single unit is NaN."""
        return self.value().is_null()

    def _aggregate(self, function: str, weights: Sequence[float] | None = None) -> Expr:
        return Expr(UnitAggregate(self.node, function, None if weights is None else as_weights(weights)))

    def _compared(self, op: CompareOp, other: object) -> Expr:
        return Expr(Compare(op, self.value().node, as_node(other)))

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return self._compared("==", other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return self._compared("!=", other)

    def __lt__(self, other: object) -> Expr:
        return self._compared("<", other)

    def __le__(self, other: object) -> Expr:
        return self._compared("<=", other)

    def __gt__(self, other: object) -> Expr:
        return self._compared(">", other)

    def __ge__(self, other: object) -> Expr:
        return self._compared(">=", other)

    __hash__ = None  # type: ignore[assignment]  # `==` builds


def numbers_in(which: Any) -> list[int]:
    """Read one number of a unit, or several, from the brackets.

    Raises:
        QueryError: They are not integers.
    """
    numbers = list(which) if is_several(which) else [which]
    for number in numbers:
        if whole(number) is None:
            raise QueryError(f"A unit is given by its number, not by {number!r:.40}.")
    return [int(number) for number in numbers]
