"""The step ``group_by``: one row for each combination of values, with the aggregates of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.expressions import types
from odin_graph.query.expressions.aggregates import AGGREGATES
from odin_graph.query.expressions.arrow import evaluate
from odin_graph.query.expressions.datum import plain
from odin_graph.query.expressions.nodes import Added, Aggregate, Field, Node, aggregates
from odin_graph.query.expressions.selectivity import Known, combinations
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.columns import Column, check_names, spell_columns

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText

_ROW = "row"


@dataclass(frozen=True, slots=True)
class GroupBy(RowStep):
    """One row for each combination of values, ordered by them; from here on the rows are groups, no images."""

    keys: tuple[Column, ...]
    aggregates: tuple[Column, ...]
    step: Literal["group-by"] = "group-by"

    why: ClassVar[str] = "Arrow's hash aggregation over columns by key: no round trip, no row becomes a Python object"

    def bind(self, scope: Scope) -> Self:
        if not self.aggregates:
            raise QueryError("agg() takes at least one column, as in agg(n=og.count(), share=exp.wrong.mean()).")
        check_names((*self.keys, *self.aggregates), "group_by")
        keys = tuple(Column(column.name, scope.group_key(column.value)) for column in self.keys)
        names = {column.value: column.name for column in keys}
        bound = tuple(Column(column.name, scope.aggregate(column.value, names)) for column in self.aggregates)
        return type(self)(keys, bound)

    def nodes(self) -> tuple[Node, ...]:
        return tuple(column.value for column in (*self.keys, *self.aggregates))

    def columns_after(self, scope: Scope) -> dict[str, str]:
        type_of = scope.in_groups({column.value: column.name for column in self.keys})
        columns = {column.name: scope.value_type(column.value) for column in self.keys}
        return columns | {column.name: types.infer(column.value, type_of) for column in self.aggregates}

    def estimate(self, rows: float, known: Known) -> float:
        return min(rows, combinations([column.value for column in self.keys], known)) if self.keys else 1.0

    def spell(self) -> str:
        return f".group_by({spell_columns(self.keys)}).agg({spell_columns(self.aggregates)})"

    def cypher(self, to: CypherText) -> CypherText:
        return to.group_by(self.keys, self.aggregates)

    def does(self) -> str:
        return f"group by {', '.join(spell(column.value) for column in self.keys) or 'nothing: one row'}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        requested = list(
            dict.fromkeys(aggregate for column in self.aggregates for aggregate in aggregates(column.value))
        )
        names = [f"key{position}" for position in range(len(self.keys))] or ["all"]
        values_of = {name: over.values(column.value, table) for name, column in zip(names, self.keys, strict=False)}
        rows = pa.table(values_of or {"all": pa.repeat(pa.scalar(0), table.num_rows)})
        groups, values = self._aggregated(rows, names, requested, table, over)
        order = pc.sort_indices(groups, sort_keys=[(name, "ascending") for name in names])
        groups = groups.take(order)
        ordered = {aggregate: column.take(order) for aggregate, column in values.items()}
        columns = {column.name: plain(groups.column(name)) for name, column in zip(names, self.keys, strict=False)}

        def value(field: Field) -> pa.Array:
            return columns[field.name] if isinstance(field, Added) else ordered[field]  # type: ignore[index]

        results = {column.name: evaluate(column.value, value, groups.num_rows) for column in self.aggregates}
        return pa.table(columns | results)

    def _aggregated(
        self, rows: pa.Table, names: Sequence[str], requested: Sequence[Aggregate], table: pa.Table, over: Apply
    ) -> tuple[pa.Table, dict[Aggregate, pa.Array]]:
        """The key columns of the groups, and each aggregate with a value for each group."""
        if not self.keys and not table.num_rows:
            single = pa.table({"all": pa.array([0])})
            return single, {aggregate: pa.array([AGGREGATES.get(aggregate.function).empty]) for aggregate in requested}
        kernels: list[tuple[Any, str, Any]] = [(_ROW, "list", None)]
        rows = rows.append_column(_ROW, pa.array(np.arange(table.num_rows)))
        inputs: dict[Aggregate, pa.Array] = {}
        for position, aggregate in enumerate(requested):
            function = AGGREGATES.get(aggregate.function)
            values = rows.column(_ROW) if aggregate.operand is None else over.values(aggregate.operand, table)
            inputs[aggregate] = values
            if function.kernel is not None and not pa.types.is_null(values.type):
                rows = rows.append_column(f"of{position}", function.prepare(values))
                kernels.append((f"of{position}", function.kernel, function.options))
        if all(AGGREGATES.get(aggregate.function).kernel is not None for aggregate in requested):
            kernels = kernels[1:]  # only aggregates without a kernel need the rows of each group
        # One thread: sums of floats then do not depend on how the rows are divided.
        grouped = rows.group_by(list(names), use_threads=False).aggregate(kernels)
        values_of = {}
        for position, aggregate in enumerate(requested):
            function = AGGREGATES.get(aggregate.function)
            if pa.types.is_null(inputs[aggregate].type):
                values_of[aggregate] = pa.array([function.empty] * grouped.num_rows)
            elif function.kernel is not None:
                values_of[aggregate] = plain(grouped.column(f"of{position}_{function.kernel}"))
            else:
                members = grouped.column(f"{_ROW}_list")
                values_of[aggregate] = pa.array(
                    [_of_group(aggregate, plain_values) for plain_values in _each(inputs[aggregate], members)]
                )
        return grouped.select(list(names)), values_of


def _of_group(aggregate: Aggregate, values: pa.Array) -> Any:
    function = AGGREGATES.get(aggregate.function)
    present = values.drop_null()
    return function.compute(present) if function.compute is not None and len(present) else function.empty


def _each(values: pa.Array, members: pa.ChunkedArray) -> Any:
    for rows in members:
        yield values.take(rows.values)
