"""The steps of a query. Each returns a new query, which is checked when it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, Self

from odin_graph.address import Address, Remote
from odin_graph.arguments import whole
from odin_graph.client import Session, session_at
from odin_graph.deadline import deadline
from odin_graph.errors import ExpressionError, QueryError
from odin_graph.objects.base.in_session import InSession
from odin_graph.query.cypher.statement import Statement
from odin_graph.query.executor import Executor
from odin_graph.query.expressions.expressions import Expr, F, NamesUnits, as_node, unit_value
from odin_graph.query.expressions.nodes import Added, ImageField, PredictionField, SortKey
from odin_graph.query.plan import wire
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import Plan, Step
from odin_graph.query.plan.steps.distinct import Distinct
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.query.planner.explain import Explanation


@dataclass(frozen=True, eq=False, repr=False)
class Steps(InSession):
    """What all queries have: the address of a workspace, a plan, the steps of any rows, and ways to inspect it."""

    address: Address | Remote
    plan: Plan

    def where(self, /, *conditions: Expr, **equal: Any) -> Self:
        """Keep what every condition is true of (not false, and not missing): ``where(F("age") > 60, label="DME")``.

        Args:
            conditions: Expressions that are true or false.
            equal: Fields and their values; None where the value is missing. A thing stands for its id.
        """
        given = [*conditions, *(_equal(name, value) for name, value in equal.items())]
        if not given:
            raise QueryError('where() takes at least one condition, as in where(F("label") == "DME").')
        for condition in given:
            if not isinstance(condition, Expr):
                raise ExpressionError(f'where() takes expressions, as in F("label") == "DME", not {condition!r:.80}.')
        return self._then(Where(reduce(and_, given).node))

    def order_by(self, *keys: Expr | SortKey | NamesUnits) -> Self:
        """Sort by these expressions. ``.desc()`` reverses one. Ties are sorted by key, and missing values come last."""
        return self._then(OrderBy(tuple(map(_sort_key, keys))))

    def limit(self, k: int) -> Self:
        """Keep the first k images."""
        if (number := whole(k)) is None or number < 0:
            raise QueryError(f"limit() takes a number of images, not {k!r:.80}.")
        return self._then(Slice(None, number))

    def with_columns(self, /, **columns: Expr) -> Self:
        """Add columns to the answer: ``with_columns(predicted=exp.predicted)``."""
        return self._then(WithColumns(tuple(Column(name, as_node(value)) for name, value in columns.items())))

    def select(self, /, *names: str, **columns: Expr) -> Self:
        """Return only these columns: ``select("id", "age", predicted=exp.predicted)``.

        Args:
            names: Names of fields, or expressions of one field.
            columns: Expressions, with the names of their columns.
        """
        return self._then(Select(columns_of(names, columns)))

    def distinct(self, *keys: str | Expr) -> Self:
        """Keep the first image of each combination of values: ``distinct("patient")``. Missing values are equal."""
        if not keys:
            raise QueryError('distinct() takes at least one field, as in distinct("patient").')
        return self._then(
            Distinct(tuple(F(field).node if isinstance(field, str) else as_node(field) for field in keys))
        )

    def count(self, *, timeout: float | None = None) -> int:
        """The number of rows.

        Args:
            timeout: Seconds after which the query is stopped, also in the engine.

        Raises:
            TimeLimitError: It took longer than ``timeout``.
        """
        with deadline(timeout):
            return self._executor.count(self.plan)

    def __len__(self) -> int:
        return self.count()

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return wire.to_json(self.plan)

    def to_cypher(self) -> Statement:
        """One Cypher statement, with its parameters, that selects the same.

        Two texts of which a function made one (``F("site").lower() < F("site")``, or an order by it) are compared by
        Neo4j as UTF-16: there an emoji comes before the full-width forms, and here after them.

        Raises:
            QueryError: A part of the query is not in the graph. The message says which and why.
        """
        return self._executor.cypher(self.plan)

    def explain(self, *, run: bool = False, timeout: float | None = None) -> Explanation:
        """Show what runs on which engine, and why.

        Args:
            run: Also run it, and show the actual rows and times.
            timeout: See `count`.
        """
        with deadline(timeout):
            return self._executor.explain(self.plan, run=run)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.plan.spell()})"

    @property
    def _session(self) -> Session:  # type: ignore[override]
        return session_at(self.address)

    @property
    def _executor(self) -> Executor:
        return self._session.executor()

    def _then(self, step: Step) -> Self:
        """The query with one step more, bound to the workspace."""
        return type(self)(self.address, self.plan.then(self._executor.bind(self.plan, step)))


def wanted_columns(names: Sequence[str], columns: Mapping[str, Any]) -> tuple[Column, ...]:
    """Fields by name, then named expressions."""
    expressions = {name: F(name) for name in names} | dict(columns)
    return tuple(Column(name, as_node(value)) for name, value in expressions.items())


def columns_of(names: Sequence[Any], columns: Mapping[str, Any]) -> tuple[Column, ...]:
    """Columns by name or expression, those by expression of one field with that field's name."""
    return tuple(map(_column, names)) + tuple(Column(name, as_node(value)) for name, value in columns.items())


def _equal(name: str, value: Any) -> Expr:
    """The condition that a field has a value."""
    if value is None:
        return F(name).is_null()
    return F(name) == (getattr(value, "id", value) if isinstance(value, InSession) else value)


def _column(value: Any) -> Column:
    if isinstance(value, str):
        return Column(value, F(value).node)
    if isinstance(value, Expr) and isinstance(value.node, ImageField | Added | PredictionField):
        return Column(value.node.name, value.node)
    raise QueryError(f'{value!r} has no name: give it one, as in decade=fn.floor(F("age") / 10).')


def _sort_key(key: Expr | SortKey | NamesUnits) -> SortKey:
    if isinstance(key, SortKey):
        return key
    node = key.node if isinstance(key, Expr) else unit_value(key)
    if node is None:
        raise ExpressionError(f'order_by() takes expressions, as in F("age") or F("age").desc(), not {key!r:.80}.')
    return SortKey(node)
