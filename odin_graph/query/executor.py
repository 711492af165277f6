"""Runs plans: `Executor` is the seam behind which a query runs here or far away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from odin_graph.query.explain import Explanation
from odin_graph.query.plan import OrderBy, Plan, WithColumns
from odin_graph.query.planner import extension, physical

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores

BATCH = 65_536
"""Rows of a batch at most."""


class Executor(Protocol):
    """Answers bound plans."""

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order: ``key``, and what the steps added. At least one batch, which tells the schema."""

    def count(self, plan: Plan) -> int:
        """How many images the plan selects."""

    def extend(self, plan: Plan, answer: pa.Table, add: WithColumns) -> pa.Table:
        """The answer of a plan with more columns, without running the plan again."""

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """What would run, on which engine, and why; with actual rows and times if it is run."""


class LocalExecutor:
    """Runs plans in this process, over open stores.

    Args:
        stores: The open workspace.
        at: The moment that an answer is to be of; by default the one at which it is asked for.
    """

    def __init__(self, stores: Stores, at: Moment | None = None) -> None:
        self._stores = stores
        self._at = at

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order, in batches."""
        table = physical(self._stores, plan, self._at).run()
        batches = table.to_batches(max_chunksize=BATCH)
        yield from batches or [pa.RecordBatch.from_pylist([], schema=table.schema)]

    def count(self, plan: Plan) -> int:
        """How many images the plan selects; orders and columns at its end are not computed for that."""
        steps = plan.steps
        while steps and isinstance(steps[-1], OrderBy | WithColumns):
            steps = steps[:-1]
        return int(physical(self._stores, Plan(plan.source, steps)).run().num_rows)

    def extend(self, plan: Plan, answer: pa.Table, add: WithColumns) -> pa.Table:
        """The answer of a plan with more columns, without running the plan again."""
        return extension(self._stores, plan, answer, add).run()

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """The physical plan as a tree."""
        top = physical(self._stores, plan)
        if run:
            top.run()
        return Explanation.of(top)
