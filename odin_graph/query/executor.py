"""Runs plans: `Executor` is the seam behind which a query is checked and runs, here or far away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from odin_graph.query.bind import bind_columns, bind_step
from odin_graph.query.explain import Explanation
from odin_graph.query.nodes import ImageField
from odin_graph.query.plan import Column, OrderBy, Plan, Select, Step, WithColumns
from odin_graph.query.planner import extension, physical
from odin_graph.query.scope import Scope

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores

BATCH = 65_536
"""Rows of a batch at most."""

Wanted = tuple[Column, ...]


class Executor(Protocol):
    """Checks the steps of plans, and answers bound ones."""

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far."""

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order: ``key``, and what the steps added. At least one batch, which tells the schema."""

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, or with every stored field where none is named, so many rows at a time."""

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives."""

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """What would run, on which engine, and why; with actual rows and times if it is run."""


class LocalExecutor:
    """Runs plans in this process, over open stores.

    Args:
        stores: The open workspace.
        at: The moment that an answer is to be of; by default the one at which it is asked for.
        held: The answer of the plan that will be asked for, where it is there already.
    """

    def __init__(self, stores: Stores, at: Moment | None = None, held: pa.Table | None = None) -> None:
        self._stores = stores
        self._at = at
        self._held = held

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names bound to what they read after the plan so far; raises as `bind_step` does."""
        return bind_step(self._stores, plan, step)

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order, in batches."""
        table = self._answer(plan, self._at)
        yield from _batches(table, BATCH)

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, the key of images first and what the steps added last.

        Args:
            plan: A bound plan, not of groups.
            wanted: Empty for every stored field; for none where the plan has said ``select``.
            rows: Of a batch at most.
        """
        at = self._at or self._stores.graph.moment()
        scope = Scope(self._stores, plan, at)
        answer = self._answer(plan, at)
        add = tuple(column for column in wanted or _every(plan, scope) if column.name not in answer.column_names)
        first = ["key"] if plan.kind == "Image" else []
        names = [*first, *(column.name for column in add), *(name for name in answer.column_names if name != "key")]
        if not add:
            yield from _batches(answer.select(names), rows)
            return
        extended = extension(self._stores, plan, bind_columns(scope, add), at)
        for start in range(0, max(answer.num_rows, 1), rows):
            yield from _batches(extended(answer.slice(start, rows)).select(names), rows)

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives; orders and columns at its end are not computed for that."""
        steps = plan.steps
        while steps and isinstance(steps[-1], OrderBy | WithColumns):
            steps = steps[:-1]
        return int(physical(self._stores, Plan(plan.source, steps), self._at).run().num_rows)

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """The physical plan as a tree."""
        top = physical(self._stores, plan)
        if run:
            top.run()
        return Explanation.of(top)

    def _answer(self, plan: Plan, at: Moment | None) -> pa.Table:
        return self._held if self._held is not None else physical(self._stores, plan, at).run()


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
