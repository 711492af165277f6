"""The operator of `representative`: a few images that stand for all, chosen within each confused pair."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.query.expressions.nodes import Node
from odin_graph.query.names.selection import SELECTIONS
from odin_graph.query.names.spaces import spell_space, vectors_of
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.shares import shares
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import Representative


class RepresentativeImages(Over):
    """Choose within each confused pair by the vectors of a layer; the pair that stands for most comes first."""

    engine = "arrays"
    why = "vectors of the layer are read, and computed first where they are missing"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Representative) -> None:
        grouped = " within each confused pair" if step.predicted is not None else ""
        by = f"{spell_space(step.by)} ({step.method})"
        super().__init__(snapshot, below, f"{step.k} representative images by {by}{grouped}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        truth, predicted = self._column(self.step.truth, table), self._column(self.step.predicted, table)
        # Sorted by key first: the answer depends on which images there are, not on the order they came in.
        groups = list(_groups(truth, predicted, np.argsort(table.column("key").to_numpy(), kind="stable")))
        keys = table.column("key").to_numpy()
        select = SELECTIONS.get(self.step.method)
        vectors = vectors_of(self.snapshot.stores, self.step.by, keys)  # in one pass, whatever the groups
        chosen: list[tuple[int, int, int]] = []
        for rows, places in zip(groups, shares([len(rows) for rows in groups], self.step.k), strict=True):
            if places:
                positions, stands_for = select(vectors[rows], places, seed=self.step.seed)
                chosen += [
                    (-int(count), int(keys[rows[position]]), int(rows[position]))
                    for position, count in zip(positions, stands_for, strict=True)
                ]
        chosen.sort()
        picked = pa.array([row for _, _, row in chosen], pa.int64())
        result = table.take(picked).append_column(
            "stands_for", pa.array([-count for count, _, _ in chosen], pa.int64())
        )
        if self.step.truth is not None and self.step.predicted is not None:
            result = result.append_column("pair_truth", truth.take(picked))
            result = result.append_column("pair_predicted", predicted.take(picked))
        return result

    def _column(self, node: Node | None, table: pa.Table) -> pa.Array:
        return pa.nulls(table.num_rows) if node is None else self.values(node, table)


def _groups(truth: pa.Array, predicted: pa.Array, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows of each pair, the largest pair first, ties by truth and then prediction."""
    left, right = _codes(truth), _codes(predicted)
    pairs = np.stack([left, right], axis=1)[order]
    unique, pair_of_row, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    pair_of_row = pair_of_row.reshape(-1)
    for pair in sorted(range(len(unique)), key=lambda pair: (-sizes[pair], pair)):
        yield order[pair_of_row == pair]


def _codes(values: pa.Array) -> NDArray[np.int64]:
    """The rank of each value among the distinct ones; -1 for a missing value."""
    if pa.types.is_null(values.type):
        return np.full(len(values), -1, np.int64)
    if pa.types.is_nested(values.type):  # several labels for an image are compared as text
        values = pa.array([None if value is None else repr(value) for value in values.to_pylist()], pa.string())
    ranked = pc.unique(values.drop_null()).sort()
    ranks: NDArray[np.int64] = pc.fill_null(pc.index_in(values, value_set=ranked), -1).cast(pa.int64()).to_numpy()
    return ranks
