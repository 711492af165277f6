"""The operator of set operations: the images of two plans as one answer, each image once."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from odin_graph.query.operators.operator import Operator
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.steps.combine import Combine


class CombineImages(Operator):
    """Union, intersection or difference, in the order of the first and then of the other."""

    engine = "columns"
    why = "a join of keys"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Combine, other: Operator) -> None:
        super().__init__(snapshot, f"{step.how} of")
        self.inputs = (below, other)
        self.step = step

    def run(self) -> pa.Table:
        """The images of both, as the step says."""
        left, right = (operator.run() for operator in self.inputs)
        start = time.perf_counter()
        return self._keep(start, self._combined(left, right))

    def _combined(self, left: pa.Table, right: pa.Table) -> pa.Table:
        if self.step.how == "union":
            # A column that only one side has is missing in the other's rows.
            return _each_once(pa.concat_tables([left, right], promote_options="permissive"))
        among = np.isin(left.column("key").to_numpy(), right.column("key").to_numpy())
        return _each_once(left.filter(pa.array(among if self.step.how == "intersection" else ~among)))


def _each_once(table: pa.Table) -> pa.Table:
    _, first = np.unique(table.column("key").to_numpy(), return_index=True)
    return table.take(pa.array(np.sort(first)))
