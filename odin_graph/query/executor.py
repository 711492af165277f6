"""Runs plans: `Executor` is the seam behind which a query is checked and runs, here or far away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from odin_graph.errors import OdinError, QueryError
from odin_graph.query.cypher.statement import Statement, to_cypher
from odin_graph.query.expressions.moments import MovedError, of_one_moment
from odin_graph.query.expressions.nodes import ImageField, Relation
from odin_graph.query.names.bind import bind_plan, bind_step
from odin_graph.query.names.examples import Given, find_examples
from odin_graph.query.names.scope import Scope
from odin_graph.query.names.sources import compiled
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan, Registered, Step
from odin_graph.query.plan.spaces import Space
from odin_graph.query.plan.steps.nearest import Example
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.query.planner.explain import Explanation
from odin_graph.query.planner.planner import extension, physical, snapshot_of

if TYPE_CHECKING:
    from odin_graph.graph import ChangeToken
    from odin_graph.graph.moment import Moment
    from odin_graph.query.operators.snapshot import Snapshot
    from odin_graph.stores import Stores

BATCH = 65_536
"""Rows of a batch at most."""

Wanted = tuple[Column, ...]
T = TypeVar("T")


class Executor(Protocol):
    """Checks the steps of plans, and answers bound ones."""

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far; raises as `bind_step` does."""

    def check(self, plan: Plan) -> Plan:
        """A plan from elsewhere, bound as if it were written here."""

    def examples(self, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
        """The examples that a search begins with, looked up; raises as `find_examples` does."""

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order: ``key``, and what the steps added. At least one batch, which gives the schema."""

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, or with every stored field where none is named, so many rows at a time."""

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives."""

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """What would run, on which engine, and why; with actual rows and times if it is run."""

    def ran(self) -> bool:
        """Whether the answer is cached already."""

    def cypher(self, plan: Plan) -> Statement:
        """The plan as one Cypher statement; raises as `to_cypher` does."""


@dataclass(eq=False, slots=True)
class CachedAnswer:
    """The last answer of a query and the state of the graph that it is of, so that the same query is not run again."""

    token: ChangeToken | None = None
    table: pa.Table | None = None

    def at(self, token: ChangeToken) -> pa.Table | None:
        """The answer, if it is of this state."""
        return self.table if self.token == token else None


class LocalExecutor:
    """Runs plans in this process, over open stores.

    Args:
        stores: The open workspace.
        cache: Holds the answer of the one plan that this executor runs.
    """

    def __init__(self, stores: Stores, cache: CachedAnswer | None = None) -> None:
        self._stores = stores
        self._cache = cache

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far."""
        return bind_step(self._stores, plan, step)

    def check(self, plan: Plan) -> Plan:
        """A plan from elsewhere, bound as if it were written here."""
        return bind_plan(self._stores, plan)

    def examples(self, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
        """The examples that a search begins with, looked up."""
        return find_examples(self._stores, given, by)

    def execute(self, plan: Plan, rows: int = BATCH, first: int = 0) -> Iterator[pa.RecordBatch]:
        """The answer in order, in batches of so many rows, from a row on."""
        yield from _batches(
            self._of_one_moment(lambda at, exact: self._answer(plan, at, exact), plan).slice(first), rows
        )

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH, first: int = 0) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, the key of images first and what the steps added last.

        Args:
            plan: A bound plan; groups have their own columns.
            wanted: Empty for every stored field; none where the plan has a ``select``.
            rows: Of a batch at most.
            first: The row that the first batch begins with.
        """
        if plan.grouped:
            if wanted:
                raise QueryError(
                    "Groups have the columns that agg() gave them, and others by with_columns() or select()."
                )
            yield from self.execute(plan, rows, first)
            return

        def begin(at: Moment, exact: bool) -> tuple[pa.Table, pa.Table, Callable[[pa.Table], pa.Table]]:
            """The answer, its first batch, and a function that makes the others from what has been read by then."""
            scope = Scope(self._stores, plan, at)
            columns = wanted or _every(plan, scope)
            snapshot = snapshot_of(self._stores, plan, at, _read_too(scope, columns), exact=exact)
            answer = self._answer(plan, at, exact, snapshot).slice(first)
            add = tuple(column for column in columns if column.name not in answer.column_names)
            key = ["key"] if plan.kind == "Image" else []
            names = [*key, *(column.name for column in add), *(name for name in answer.column_names if name != "key")]
            if not add:
                return answer, answer.slice(0, rows).select(names), lambda part: part.select(names)
            extended = extension(snapshot, WithColumns(add).bind(scope))
            return answer, extended(answer.slice(0, rows)).select(names), lambda part: extended(part).select(names)

        answer, part, make = self._of_one_moment(begin, plan)
        yield from _batches(part, rows)
        for start in range(rows, answer.num_rows, rows):
            yield from _batches(make(answer.slice(start, rows)), rows)

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives; orders and columns at its end are not computed."""
        if self._cache is not None and self._cache.table is not None:
            cached = self._cache.at(self._stores.graph.change_token())
            if cached is not None:
                return int(cached.num_rows)
        steps = plan.steps
        while steps and steps[-1].row_by_row:
            steps = steps[:-1]
        short = Plan(plan.source, steps)
        return int(self._of_one_moment(lambda at, exact: self._run(short, at, exact), short).num_rows)

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """The physical plan as a tree."""

        def explained(at: Moment, exact: bool) -> Explanation:
            top = physical(snapshot_of(self._stores, plan, at, exact=exact), plan)
            if run:
                top.run()
            return Explanation.of(top)

        return self._of_one_moment(explained, plan)

    def ran(self) -> bool:
        """Whether the cached answer is of this state of the graph."""
        return self._cache is not None and self._cache.at(self._stores.graph.change_token()) is not None

    def cypher(self, plan: Plan) -> Statement:
        """The plan as one Cypher statement, where it has that form."""
        if isinstance(plan.source, Registered):
            found = compiled(plan.source, self._stores.graph.moment())
            plan = Plan(found, plan.steps) if isinstance(found, Cypher) else plan
        return to_cypher(plan, Scope(self._stores, plan))

    def _answer(self, plan: Plan, at: Moment, exact: bool, snapshot: Snapshot | None = None) -> pa.Table:
        cached = None if self._cache is None else self._cache.at(at.token)
        if cached is None:
            cached = self._run(plan, at, exact, snapshot)
            if self._cache is not None and exact:
                self._cache.token, self._cache.table = at.token, cached
        return cached

    def _run(self, plan: Plan, at: Moment, exact: bool, snapshot: Snapshot | None = None) -> pa.Table:
        table = physical(snapshot or snapshot_of(self._stores, plan, at, exact=exact), plan).run()
        if exact and _asks_the_graph(plan) and self._stores.graph.change_token() != at.token:
            raise MovedError
        return table

    def _of_one_moment(self, answer: Callable[[Moment, bool], T], plan: Plan) -> T:
        """An answer of one moment; if a field that the plan reads has changed its type, an error that says so."""
        try:
            return of_one_moment(self._stores.graph, answer)
        except (pa.ArrowException, TypeError, ValueError, LookupError) as error:
            if not isinstance(error, OdinError):
                bind_plan(self._stores, plan)
            raise


def _asks_the_graph(plan: Plan) -> bool:
    """Whether an answer comes from statements, and not only from columns, which know their moment."""
    return not isinstance(plan.source, AllImages | Members | Keys) or any(
        isinstance(field, Relation) for field in plan.fields()
    )


def _read_too(scope: Scope, wanted: Wanted) -> WithColumns:
    """The columns that can be bound before there is an answer, so that all fields are read together."""
    bound = []
    for column in wanted:
        with suppress(QueryError):
            bound.append(Column(column.name, scope.value(column.value)))
    return WithColumns(tuple(bound))


def _every(plan: Plan, scope: Scope) -> Wanted:
    """Every stored field, of images the id and the label first."""
    if any(isinstance(step, Select) for step in plan.steps):
        return ()
    names = list(scope.fields)
    if plan.kind == "Image":
        first = [name for name in ("id", "label") if name in scope.fields]
        names = [*first, *sorted(name for name in names if name not in {*first, "key"})]
    return tuple(Column(name, ImageField(name)) for name in names)


def _batches(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    yield from table.combine_chunks().to_batches(max_chunksize=rows) or [
        pa.RecordBatch.from_pylist([], schema=table.schema)
    ]
