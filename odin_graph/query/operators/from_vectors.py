"""The operator of `cluster`, `near_duplicates`, `outliers` and `uniqueness`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from odin_graph.query.names.spaces import spell_space, vectors_of
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import FromVectors
from odin_graph.query.plan.vector_columns import VECTOR_COLUMNS


class AddFromVectors(Over):
    """Add a column that is computed from the vectors of all rows."""

    engine = "vectors"
    why = "the vectors of all images that came so far are compared; missing ones of a layer are computed first"

    def __init__(self, snapshot: Snapshot, below: Operator, step: FromVectors) -> None:
        super().__init__(snapshot, below, f"{step.name} = {step.function} by {spell_space(step.by)} ({step.metric})")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        step = self.step
        column = VECTOR_COLUMNS.get(step.function)
        # By key: the values depend on which images there are, not on the order they came in.
        keys, place = np.unique(table.column("key").to_numpy(), return_inverse=True)
        type_ = pa.int64() if column.type == "int" else pa.float64()
        if not len(keys):
            return table.append_column(step.name, pa.array([], type_))
        vectors = vectors_of(self.snapshot.stores, step.by, keys)
        self.bytes += vectors.nbytes
        found = column(vectors, step.settings)[place]
        missing = found < 0 if column.type == "int" else np.isinf(found)
        return table.append_column(step.name, pa.array(found, type_, mask=missing))
