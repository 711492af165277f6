"""Runs plans: `Executor` is the seam behind which a query is checked and runs, here or far away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from odin_graph.errors import QueryError
from odin_graph.query.bind import bind_columns, bind_plan, bind_step
from odin_graph.query.examples import Given, find_examples
from odin_graph.query.explain import Explanation
from odin_graph.query.nodes import ImageField
from odin_graph.query.plan import (
    Column,
    Cypher,
    Example,
    OrderBy,
    Plan,
    Registered,
    Select,
    Space,
    Step,
    WithColumns,
)
from odin_graph.query.planner import extension, physical
from odin_graph.query.scope import Scope
from odin_graph.query.sources import compiled
from odin_graph.query.statement import Statement, to_cypher

if TYPE_CHECKING:
    from odin_graph.graph import ChangeToken
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores

BATCH = 65_536
"""Rows of a batch at most."""

Wanted = tuple[Column, ...]


class Executor(Protocol):
    """Checks the steps of plans, and answers bound ones."""

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far; raises as `bind_step` does."""

    def check(self, plan: Plan) -> Plan:
        """A plan from elsewhere, bound as if it were written here."""

    def examples(self, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
        """What a search begins with, looked up; raises as `find_examples` does."""

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order: ``key``, and what the steps added. At least one batch, which tells the schema."""

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, or with every stored field where none is named, so many rows at a time."""

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives."""

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """What would run, on which engine, and why; with actual rows and times if it is run."""

    def cypher(self, plan: Plan) -> Statement:
        """The plan as one Cypher statement; raises as `to_cypher` does."""


@dataclass(eq=False, slots=True)
class Held:
    """The last answer of a query and the state of the graph that it is of: what is asked again is not run again."""

    token: ChangeToken | None = None
    table: pa.Table | None = None

    def at(self, token: ChangeToken) -> pa.Table | None:
        """The answer, if it is of this state."""
        return self.table if self.token == token else None


class LocalExecutor:
    """Runs plans in this process, over open stores.

    Args:
        stores: The open workspace.
        held: Where the answer of the one plan that is asked about is kept.
    """

    def __init__(self, stores: Stores, held: Held | None = None) -> None:
        self._stores = stores
        self._held = held

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far."""
        return bind_step(self._stores, plan, step)

    def check(self, plan: Plan) -> Plan:
        """A plan from elsewhere, bound as if it were written here."""
        return bind_plan(self._stores, plan)

    def examples(self, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
        """What a search begins with, looked up."""
        return find_examples(self._stores, given, by)

    def execute(self, plan: Plan, rows: int = BATCH, first: int = 0) -> Iterator[pa.RecordBatch]:
        """The answer in order, in batches of so many rows, from a row on."""
        yield from _batches(self._answer(plan, self._stores.graph.moment()).slice(first), rows)

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH, first: int = 0) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, the key of images first and what the steps added last.

        Args:
            plan: A bound plan; of groups there are the columns that they have.
            wanted: Empty for every stored field; for none where the plan has said ``select``.
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
        at = self._stores.graph.moment()
        scope = Scope(self._stores, plan, at)
        answer = self._answer(plan, at).slice(first)
        add = tuple(column for column in wanted or _every(plan, scope) if column.name not in answer.column_names)
        key = ["key"] if plan.kind == "Image" else []
        names = [*key, *(column.name for column in add), *(name for name in answer.column_names if name != "key")]
        if not add:
            yield from _batches(answer.select(names), rows)
            return
        extended = extension(self._stores, plan, bind_columns(scope, add), at)
        for start in range(0, max(answer.num_rows, 1), rows):
            yield from _batches(extended(answer.slice(start, rows)).select(names), rows)

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives; orders and columns at its end are not computed for that."""
        if self._held is not None and self._held.table is not None:
            held = self._held.at(self._stores.graph.change_token())
            if held is not None:
                return int(held.num_rows)
        steps = plan.steps
        while steps and isinstance(steps[-1], OrderBy | WithColumns):
            steps = steps[:-1]
        return int(physical(self._stores, Plan(plan.source, steps)).run().num_rows)

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """The physical plan as a tree."""
        top = physical(self._stores, plan)
        if run:
            top.run()
        return Explanation.of(top)

    def cypher(self, plan: Plan) -> Statement:
        """The plan as one Cypher statement, where it has that form."""
        if isinstance(plan.source, Registered):
            found = compiled(plan.source, self._stores.graph.moment())
            plan = Plan(found, plan.steps) if isinstance(found, Cypher) else plan
        return to_cypher(plan, Scope(self._stores, plan))

    def _answer(self, plan: Plan, at: Moment) -> pa.Table:
        if self._held is None:
            return physical(self._stores, plan, at).run()
        held = self._held.at(at.token)
        if held is None:
            held = physical(self._stores, plan, at).run()
            self._held.token, self._held.table = at.token, held
        return held


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
