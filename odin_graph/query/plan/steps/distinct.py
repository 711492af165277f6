"""The step ``distinct``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa

from odin_graph.query.expressions.nodes import Node
from odin_graph.query.expressions.selectivity import Known, combinations
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.plan.base_step import RowStep

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply


@dataclass(frozen=True, slots=True)
class Distinct(RowStep):
    """Keep the first image of each combination of values; missing values are alike."""

    keys: tuple[Node, ...]
    step: Literal["distinct"] = "distinct"

    on_groups: ClassVar[bool] = True
    why: ClassVar[str] = "the values are Arrow columns"

    def bind(self, scope: Scope) -> Self:
        return type(self)(tuple(map(scope.group_key, self.keys)))

    def nodes(self) -> tuple[Node, ...]:
        return self.keys

    def estimate(self, rows: float, known: Known) -> float:
        return min(rows, combinations(self.keys, known))

    def spell(self) -> str:
        return f".distinct({', '.join(map(spell, self.keys))})"

    def does(self) -> str:
        return f"the first of each {', '.join(map(spell, self.keys))}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        columns = {f"key{position}": over.values(node, table) for position, node in enumerate(self.keys)}
        rows = pa.table(columns | {"row": pa.array(np.arange(table.num_rows))})
        first = rows.group_by(list(columns), use_threads=False).aggregate([("row", "min")]).column("row_min")
        return table.take(first.combine_chunks().sort())
