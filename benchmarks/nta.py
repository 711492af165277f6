"""DeepEverest's NTA, written from its paper: the peer of the neuron engine, and what its index costs.

D. He, M. Daum, W. Cai, M. Balazinska: DeepEverest: Accelerating Declarative Top-K Queries for Deep Neural Network
Interpretation. PVLDB 15(1), 2021. Of each neuron the images are parted by activation into partitions of equal size: the
Neural Partition Index keeps each image's partition in a few bits, and each partition's bounds. Of the share with the
highest activations, the first partition, the Maximum Activation Index keeps the activations themselves, sorted. A query
goes through the partitions of its neurons at once, the most promising first, runs the model on their images, and stops
when the k-th best is no worse than anything that can still come (Fagin's threshold algorithm). Where images of equal
value compete any of them is an answer, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons import Measure, distance

Positions = NDArray[np.int64]
Floats = NDArray[np.float64]
Run = Callable[[Positions], NDArray[np.float32]]
"""The model on some images: (m, G) activations of the group."""

BATCH = 64
"""Images of the sorted activations that are run in one round, over all neurons; a partition is run whole."""


@dataclass(frozen=True, eq=False)
class Index:
    """The two indexes of U neurons over n images."""

    partition: NDArray[np.uint16]
    """(U, n): 0 holds the highest activations."""
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    """(U, P): the bounds of each partition; NaN where it is empty."""
    top: NDArray[np.int32]
    top_values: NDArray[np.float32]
    """(U, m): the images of partition 0 and their activations, highest first."""

    @classmethod
    def build(cls, values: NDArray[np.float32], partitions: int, ratio: float) -> Self:
        """Of activations (U, n), none of them missing.

        Args:
            values: The activations.
            partitions: A power of 2, of which the first is that of the highest activations.
            ratio: The share of images in the first; 0 for an index without sorted activations, of equal partitions.
        """
        units, images = values.shape
        first = round(images * ratio)
        rank = np.arange(images)
        if first:
            of_rank = np.where(rank < first, 0, 1 + (rank - first) * (partitions - 1) // max(images - first, 1))
        else:
            of_rank = rank * partitions // images
        partition = np.empty((units, images), np.uint16)
        low = np.full((units, partitions), np.nan, np.float32)
        high = low.copy()
        top = np.empty((units, first), np.int32)
        starts = np.flatnonzero(np.diff(of_rank, prepend=-1))
        for unit, row in enumerate(values):
            order = np.argsort(-row, kind="stable")
            partition[unit, order] = of_rank
            high[unit, of_rank[starts]] = row[order[starts]]
            low[unit, of_rank[starts]] = row[order[np.append(starts[1:], images) - 1]]
            top[unit] = order[:first]
        return cls(partition, low, high, top, np.take_along_axis(values, top.astype(np.int64), axis=1))

    @classmethod
    def of_size(cls, values: NDArray[np.float32], size: int) -> Self:
        """The index of at most so many bytes: as many partitions as leave a batch in each, then sorted activations."""
        units, images = values.shape
        fitting = [p for p in (2**bits for bits in range(1, 16)) if p == 2 or images // p >= BATCH]
        fitting = [p for p in fitting if _partition_bytes(units, images, p) <= size] or [2]
        rest = size - _partition_bytes(units, images, fitting[-1])
        return cls.build(values, fitting[-1], min(max(rest, 0) / (units * images * 8), 0.5))

    @property
    def bytes(self) -> int:
        """What both take, packed."""
        units, images = self.partition.shape
        return _partition_bytes(units, images, self.low.shape[1]) + 8 * self.top.size


def _partition_bytes(units: int, images: int, partitions: int) -> int:
    return units * (images * int(np.log2(partitions)) // 8 + 8 * partitions)


@dataclass(frozen=True, eq=False)
class Found:
    """An answer and what it took."""

    positions: Positions
    values: Floats
    inferred: int
    """Images on which the model was run."""
    rounds: int


def fire_max(index: Index, units: Positions, measure: Measure, k: int, run: Run, batch: int = BATCH) -> Found:
    """The k images with the highest value of an aggregate that rises with every neuron.

    Args:
        index: Of the layer.
        units: The group (G,).
        measure: The aggregate.
        k: How many.
        run: Runs the model.
        batch: Images of the sorted activations in one round.
    """

    def reach(unit: int) -> tuple[Floats, Floats]:
        return index.top_values[unit].astype(np.float64), index.high[unit].astype(np.float64)

    cursors = [_Cursor(index, int(unit), *reach(int(unit)), sign=-1) for unit in units]
    return _search(cursors, lambda ends: float(measure(ends[:, None])[0]), measure, k, run, batch, sign=-1)


def sim_top(
    index: Index,
    units: Positions,
    query: NDArray[np.float32],
    metric: str,
    k: int,
    run: Run,
    *,
    exclude: int | None = None,
    batch: int = BATCH,
) -> Found:
    """The k images nearest to a query, by l1, l2 or linf.

    Args:
        index: Of the layer.
        units: The group (G,).
        query: (G,)
        metric: Which.
        k: How many.
        run: Runs the model.
        exclude: The query's own position.
        batch: Images of the sorted activations in one round.
    """

    def away(unit: int, at: float) -> tuple[Floats, Floats]:
        low, high = index.low[unit].astype(np.float64), index.high[unit].astype(np.float64)
        return np.abs(index.top_values[unit].astype(np.float64) - at), np.fmax(np.fmax(low - at, at - high), 0)

    cursors = [
        _Cursor(index, int(unit), *away(int(unit), float(at)), sign=1) for unit, at in zip(units, query, strict=True)
    ]
    origin = distance(metric, np.zeros(len(units)))
    return _search(
        cursors,
        lambda ends: float(origin(ends[:, None])[0]),
        distance(metric, query),
        k,
        run,
        batch,
        sign=1,
        skipped=exclude,
    )


class _Cursor:
    """The images of one neuron, the most promising first: partitions whole, those of the first one by one.

    Args:
        index: Of the layer.
        unit: The neuron.
        single: Of each image of the first partition, the best that its own activation lets it be (m,).
        whole: Of each partition, the best that its images can be (P,).
        sign: 1 where less is better, -1 where more is.
    """

    def __init__(self, index: Index, unit: int, single: Floats, whole: Floats, sign: int) -> None:
        self._index, self._unit, self.images = index, unit, index.partition.shape[1]
        some = np.flatnonzero(~np.isnan(index.low[unit]))
        if len(single):
            some = some[some > 0]
        best = np.concatenate([single, whole[some]])
        lots = np.concatenate([np.arange(len(single)), -some - 1])  # below 0: a partition
        order = np.argsort(sign * best, kind="stable")
        self._best, self._lots, self._next = best[order], lots[order], 0

    def take(self, number: int) -> Positions:
        """The next partition, or up to so many of the next single images."""
        start = self._next
        if start == len(self._lots):
            return np.empty(0, np.int64)
        if (lot := int(self._lots[start])) < 0:
            self._next += 1
            return np.flatnonzero(self._index.partition[self._unit] == -lot - 1)
        singles = self._lots[start : start + number] >= 0
        self._next += int(singles.argmin()) if not singles.all() else len(singles)
        found: Positions = self._index.top[self._unit, self._lots[start : self._next]].astype(np.int64)
        return found

    @property
    def end(self) -> float | None:
        """The best that images can be that have not been taken; None where all have."""
        return float(self._best[self._next]) if self._next < len(self._best) else None


def _search(
    cursors: list[_Cursor],
    combined: Callable[[Floats], float],
    measure: Measure,
    k: int,
    run: Run,
    batch: int,
    *,
    sign: int,
    skipped: int | None = None,
) -> Found:
    """Round after round a lot of each neuron, until nothing better can come."""
    seen = np.zeros(cursors[0].images, np.bool_)
    if skipped is not None:
        seen[skipped] = True
    positions, values = np.empty(0, np.int64), np.empty(0)
    inferred = rounds = 0
    while True:
        lots = [cursor.take(max(1, batch // len(cursors))) for cursor in cursors]
        fresh = np.unique(np.concatenate(lots))
        fresh = fresh[~seen[fresh]]
        rounds += 1
        if len(fresh):
            seen[fresh] = True
            inferred += len(fresh)
            rows: NDArray[Any] = run(fresh)
            positions = np.concatenate([positions, fresh])
            values = np.concatenate([values, measure(np.ascontiguousarray(rows.T))])
            order = np.lexsort((positions, sign * values))[:k]
            positions, values = positions[order], values[order]
        ends = [cursor.end for cursor in cursors]
        if any(end is None for end in ends):  # one neuron's partitions hold all images
            break
        edge = combined(np.array(ends, np.float64))
        if len(values) == k and sign * values[-1] <= sign * edge:
            break
    return Found(positions, values, inferred, rounds)
