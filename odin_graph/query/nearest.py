"""The operator of `nearest`: exact neighbours among the images that come from below."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from odin_graph.query.embedding import search
from odin_graph.query.operator import Operator, Over
from odin_graph.query.plan import Nearest
from odin_graph.query.snapshot import Snapshot


class NearestImages(Over):
    """The k nearest of the images below, nearest first, ties by key; adds ``distance``."""

    engine = "vectors"
    why = "an exact search of the layer's index among the images that pass; missing vectors are computed first"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Nearest) -> None:
        to = f"image {step.image}" if step.image is not None else "a vector"
        by = f"{step.by.experiment}:{step.by.layer} ({step.metric})"
        super().__init__(snapshot, below, f"{step.k} nearest to {to} by {by}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        rows = np.arange(table.num_rows)
        keys = table.column("key").to_numpy()
        if self.step.image is not None:  # a stored image is not among its own neighbours
            rows = rows[keys != self.step.image]
        allowed, first = np.unique(keys[rows], return_index=True)
        found, distance = search(self.snapshot.stores, self.step, allowed)
        picked = rows[first[np.searchsorted(allowed, found)]]
        return table.take(pa.array(picked)).append_column("distance", pa.array(distance, pa.float64()))
