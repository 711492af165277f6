"""The operator of ``group_by``: one row a combination of values, with the aggregates of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.expressions.aggregates import AGGREGATES
from odin_graph.query.expressions.arrow import evaluate
from odin_graph.query.expressions.datum import plain
from odin_graph.query.expressions.nodes import Added, Aggregate, Field, aggregates
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import GroupBy

_ROW = "row"


class GroupRows(Over):
    """Groups, ordered by their values, missing ones last."""

    engine = "columns"
    why = "Arrow's hash aggregation over columns by key: no round trip, no row becomes a Python object"

    def __init__(self, snapshot: Snapshot, below: Operator, step: GroupBy) -> None:
        by = ", ".join(spell(column.value) for column in step.by) or "nothing: one row"
        super().__init__(snapshot, below, f"group by {by}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        asked = list(dict.fromkeys(found for column in self.step.aggregates for found in aggregates(column.value)))
        by = [f"by{position}" for position in range(len(self.step.by))] or ["all"]
        keys = {name: self.values(column.value, table) for name, column in zip(by, self.step.by, strict=False)}
        rows = pa.table(keys or {"all": pa.repeat(pa.scalar(0), table.num_rows)})
        groups, values = self._aggregated(rows, by, asked, table)
        order = pc.sort_indices(groups, sort_keys=[(name, "ascending") for name in by])
        groups = groups.take(order)
        held = {one: column.take(order) for one, column in values.items()}
        columns = {column.name: plain(groups.column(name)) for name, column in zip(by, self.step.by, strict=False)}

        def value(field: Field) -> pa.Array:
            return columns[field.name] if isinstance(field, Added) else held[field]  # type: ignore[index]

        made = {column.name: evaluate(column.value, value, groups.num_rows) for column in self.step.aggregates}
        return pa.table(columns | made)

    def _aggregated(
        self, rows: pa.Table, by: Sequence[str], asked: Sequence[Aggregate], table: pa.Table
    ) -> tuple[pa.Table, dict[Aggregate, pa.Array]]:
        """The groups' own columns, and each aggregate with a value a group."""
        if not self.step.by and not table.num_rows:
            one = pa.table({"all": pa.array([0])})
            return one, {found: pa.array([AGGREGATES.get(found.function).empty]) for found in asked}
        kernels: list[tuple[Any, str, Any]] = [(_ROW, "list", None)]
        rows = rows.append_column(_ROW, pa.array(np.arange(table.num_rows)))
        inputs: dict[Aggregate, pa.Array] = {}
        for position, found in enumerate(asked):
            held = AGGREGATES.get(found.function)
            values = rows.column(_ROW) if found.operand is None else self.values(found.operand, table)
            inputs[found] = values
            if held.kernel is not None and not pa.types.is_null(values.type):
                rows = rows.append_column(f"of{position}", held.prepare(values))
                kernels.append((f"of{position}", held.kernel, held.options))
        if all(AGGREGATES.get(found.function).kernel is not None for found in asked):
            kernels = kernels[1:]  # whose rows are in a group is for those that have no kernel
        # One thread: sums of floats do not depend on how the rows were dealt out.
        made = rows.group_by(list(by), use_threads=False).aggregate(kernels)
        values_of = {}
        for position, found in enumerate(asked):
            held = AGGREGATES.get(found.function)
            if pa.types.is_null(inputs[found].type):
                values_of[found] = pa.array([held.empty] * made.num_rows)
            elif held.kernel is not None:
                values_of[found] = plain(made.column(f"of{position}_{held.kernel}"))
            else:
                members = made.column(f"{_ROW}_list")
                values_of[found] = pa.array(
                    [self._one(found, plain_values) for plain_values in _each(inputs[found], members)]
                )
        return made.select(list(by)), values_of

    def _one(self, found: Aggregate, values: pa.Array) -> Any:
        held = AGGREGATES.get(found.function)
        some = values.drop_null()
        return held.compute(some) if held.compute is not None and len(some) else held.empty


def _each(values: pa.Array, members: pa.ChunkedArray) -> Any:
    for rows in members:
        yield values.take(rows.values)
