"""The step ``representative``: a few images that stand for all, chosen within each confused pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query.expressions.nodes import FrozenLabel, Node, PredictionField
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import RowStep, check_k
from odin_graph.query.plan.selection import SELECTIONS
from odin_graph.query.plan.shares import shares
from odin_graph.query.plan.spaces import LayerOf, Space, space_text, spell_space

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply


@dataclass(frozen=True, slots=True)
class Representative(RowStep):
    """At most k images that stand for all, chosen within each confused pair (truth, predicted)."""

    by: Space
    k: int
    seed: int = 0
    method: str = "facility-location"
    truth: Node | None = None
    predicted: Node | None = None
    """None, both, if the experiment has no predictions for these images: they are one group then."""
    step: Literal["representative"] = "representative"

    on_things: ClassVar[bool] = False
    engine: ClassVar[str] = "arrays"
    why: ClassVar[str] = "vectors of the layer are read, and computed first where they are missing"

    @property
    def no_cypher(self) -> str:
        return "representative() has no form in Cypher: it goes by vectors, which are not in the graph."

    def bind(self, scope: Scope) -> Self:
        check_k("representative", self.k)
        if self.method not in SELECTIONS:
            raise UnknownNameError.of("selection method", self.method, SELECTIONS)
        by = scope.space(self.by)
        if self.truth is not None or self.predicted is not None:
            if self.truth is None or self.predicted is None:
                raise QueryError("A confused pair is a truth and a prediction: give both or none.")
            return replace(self, by=by, truth=scope.value(self.truth), predicted=scope.value(self.predicted))
        dataset = scope.dataset
        if dataset is None or not isinstance(by, LayerOf) or dataset not in scope.predicted_over(by.experiment):
            return replace(self, by=by)  # no experiment has predictions for these images: one group
        predicted = scope.value(PredictionField(by.experiment, dataset, "predicted"))
        return replace(self, by=by, truth=FrozenLabel(dataset), predicted=predicted)

    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in (self.truth, self.predicted) if node is not None)

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        if self.truth is None or self.predicted is None:
            return (("stands_for", "int"),)
        return (("stands_for", "int"), ("pair_truth", self.truth), ("pair_predicted", self.predicted))

    def estimate(self, rows: float, known: Known) -> float:
        return min(rows, float(self.k))

    def spell(self) -> str:
        return f".representative({self.k}, by={space_text(self.by)}, seed={self.seed})"

    def does(self) -> str:
        grouped = " within each confused pair" if self.predicted is not None else ""
        return f"{self.k} representative images by {spell_space(self.by)} ({self.method}){grouped}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        truth, predicted = (
            pa.nulls(table.num_rows) if node is None else over.values(node, table)
            for node in (self.truth, self.predicted)
        )
        # Sorted by key first: the answer depends on which images there are, not on the order they came in.
        groups = list(_groups(truth, predicted, np.argsort(table.column("key").to_numpy(), kind="stable")))
        keys = table.column("key").to_numpy()
        select = SELECTIONS.get(self.method)
        vectors = over.vectors(self.by, keys)  # in one pass, whatever the groups
        chosen: list[tuple[int, int, int]] = []
        for rows, places in zip(groups, shares([len(rows) for rows in groups], self.k), strict=True):
            if places:
                positions, stands_for = select(vectors[rows], places, seed=self.seed)
                chosen += [
                    (-int(count), int(keys[rows[position]]), int(rows[position]))
                    for position, count in zip(positions, stands_for, strict=True)
                ]
        chosen.sort()
        picked = pa.array([row for _, _, row in chosen], pa.int64())
        result = table.take(picked).append_column(
            "stands_for", pa.array([-count for count, _, _ in chosen], pa.int64())
        )
        if self.truth is not None and self.predicted is not None:
            result = result.append_column("pair_truth", truth.take(picked))
            result = result.append_column("pair_predicted", predicted.take(picked))
        return result


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
