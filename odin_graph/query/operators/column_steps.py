"""The operators that need nothing but Arrow columns: filter, sort, cut, add columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Both, Node, SortKey
from odin_graph.query.expressions.spelling import spell, spell_key
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.outline import bounds
from odin_graph.query.plan.plan import Distinct, Select, Slice, WithColumns

_FEW = 8
"""If fewer than one row in so many is left, the others are dropped before the next condition."""


class Filter(Over):
    """Keep the rows of which a predicate is true."""

    engine = "columns"
    why = "metadata, labels and predictions are Arrow columns by key: a scan needs no round trip"

    def __init__(self, snapshot: Snapshot, below: Operator, predicate: Node) -> None:
        super().__init__(snapshot, below, f"where {spell(predicate)}")
        self.conditions = predicate.operands if isinstance(predicate, Both) else (predicate,)
        if len(self.conditions) > 1:
            self.why = f"{self.why}; first {spell(self.conditions[0])}, which throws out most for its cost"

    def _apply(self, table: pa.Table) -> pa.Table:
        kept: pa.Array | None = None
        for condition in self.conditions:
            found = self.values(condition, table).cast(pa.bool_())
            kept = found if kept is None else pc.and_kleene(kept, found)
            # A scan of whole columns is faster than a look-up of rows, until few of them are left.
            if (pc.sum(kept).as_py() or 0) * _FEW < table.num_rows:
                table, kept = table.filter(kept, null_selection_behavior="drop"), None
        return table if kept is None else table.filter(kept, null_selection_behavior="drop")


class Sort(Over):
    """Order the rows; ties by key, missing values last."""

    engine = "columns"
    why = "the keys of the order are Arrow columns"

    def __init__(self, snapshot: Snapshot, below: Operator, keys: tuple[SortKey, ...]) -> None:
        super().__init__(snapshot, below, f"order by {', '.join(map(spell_key, keys))}")
        self.keys = keys

    def _apply(self, table: pa.Table) -> pa.Table:
        by: dict[str, pa.Array] = {}
        order: list[tuple[str, str]] = []
        for position, key in enumerate(self.keys):
            found = self.values(key.by, table)
            if pa.types.is_null(found.type):
                continue  # no image has a value to order by
            name = f"by{position}"
            by[name] = found
            order.append((name, "descending" if key.descending else "ascending"))
        # Groups have no key: ties keep their order.
        by["key"] = table.column("key") if "key" in table.column_names else pa.array(np.arange(table.num_rows))
        order.append(("key", "ascending"))
        return table.take(pc.sort_indices(pa.table(by), sort_keys=order))  # Arrow, too, puts nulls last either way


class Cut(Over):
    """A Python slice of the rows."""

    engine = "columns"
    why = "positions in the order of the answer"

    def __init__(self, snapshot: Snapshot, below: Operator, cut: Slice) -> None:
        super().__init__(snapshot, below, f"slice [{bounds(cut)}]")
        self.cut = cut

    def _apply(self, table: pa.Table) -> pa.Table:
        rows = range(*slice(self.cut.start, self.cut.stop, self.cut.stride).indices(table.num_rows))
        if rows.step == 1:
            return table.slice(rows.start, len(rows))
        return table.take(pa.array(np.arange(rows.start, rows.stop, rows.step)))


class Choose(Over):
    """Give some columns and no others; images keep their key."""

    engine = "columns"
    why = "metadata, labels and predictions are Arrow columns by key"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Select) -> None:
        super().__init__(snapshot, below, f"select {', '.join(column.name for column in step.columns)}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        columns = {"key": table.column("key")} if "key" in table.column_names else {}
        return pa.table(columns | {column.name: self.values(column.value, table) for column in self.step.columns})


class FirstOfEach(Over):
    """Keep the first row of each combination of values."""

    engine = "columns"
    why = "the values are Arrow columns"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Distinct) -> None:
        super().__init__(snapshot, below, f"the first of each {', '.join(map(spell, step.by))}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        columns = {f"by{position}": self.values(node, table) for position, node in enumerate(self.step.by)}
        rows = pa.table(columns | {"row": pa.array(np.arange(table.num_rows))})
        first = rows.group_by(list(columns), use_threads=False).aggregate([("row", "min")]).column("row_min")
        return table.take(first.combine_chunks().sort())


class AddColumns(Over):
    """Add columns to the rows."""

    engine = "columns"
    why = "metadata, labels and predictions are Arrow columns by key"

    def __init__(self, snapshot: Snapshot, below: Operator, add: WithColumns) -> None:
        listed = ", ".join(f"{column.name} = {spell(column.value)}" for column in add.columns)
        super().__init__(snapshot, below, f"columns {listed}")
        self.add = add

    def _apply(self, table: pa.Table) -> pa.Table:
        for column in self.add.columns:
            if column.name in table.column_names:
                raise QueryError(f"The result has a column {column.name!r} already: give the new one another name.")
            table = table.append_column(column.name, self.values(column.value, table))
        return table
