"""The step ``sample``: the same images whatever order they come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arguments import whole
from odin_graph.errors import QueryError
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.steps.slice import MOST_ROWS

if TYPE_CHECKING:
    from odin_graph.query.operators.operator import Apply


@dataclass(frozen=True, slots=True)
class Sample(RowStep):
    """So many of the images by chance, in the order they come in; which they are depends on their keys and the seed."""

    k: int
    seed: int = 0
    step: Literal["sample"] = "sample"

    why: ClassVar[str] = (
        "each key has a number by the seed, and the smallest are drawn: the order of the images does not matter"
    )

    def __post_init__(self) -> None:
        for name in ("k", "seed"):
            given = getattr(self, name)
            number = whole(given)
            if number is None or number < 0:
                raise QueryError(
                    f"sample() takes a number of images and a seed, both from 0 on, not {name}={given!r:.80}."
                )
            object.__setattr__(self, name, min(number, MOST_ROWS) if name == "k" else number)

    def estimate(self, rows: float, known: Known) -> float:
        return min(rows, float(self.k))

    def spell(self) -> str:
        return f".sample({self.k}, seed={self.seed})"

    def does(self) -> str:
        return f"{self.k:,} by chance, seed {self.seed}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        keys = table.column("key").to_numpy()
        drawn = np.lexsort((keys, scattered(keys, self.seed)))[: self.k]
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
