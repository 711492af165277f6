"""The operator of ``sample``: a random sample of images, the same one whatever order they come in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import Sample


class Draw(Over):
    """A random sample of rows."""

    engine = "columns"
    why = "each key has a number by the seed, and the smallest are drawn: the order of the images does not matter"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Sample) -> None:
        super().__init__(snapshot, below, f"{step.n:,} by chance, seed {step.seed}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        keys = table.column("key").to_numpy()
        drawn = np.lexsort((keys, scattered(keys, self.step.seed)))[: self.step.n]
        return table.take(pa.array(np.sort(drawn)))


def scattered(keys: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A pseudorandom number for each key: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        numbers: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return numbers
