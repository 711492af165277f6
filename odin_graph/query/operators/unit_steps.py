"""The operators over groups of units: the highest by a bound scan, and the nearest in a group's space."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.query.expressions.nodes import SortKey, UnitAggregate, UnitGroup
from odin_graph.query.expressions.spelling import spell_group, spell_key
from odin_graph.query.operators.nearest import described, query_of
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.units.unit_source import Sources
from odin_graph.query.units.units import measure_of


class OverUnits(Over):
    """An operator over a group of units, whose values come from the fastest source."""

    engine = "units"
    why = "what is stored of units bounds every image, and the model is run on the undecided; or it is run on all"
    group: UnitGroup

    def forecast(self) -> str | None:
        """The fastest source for as many images as are expected, in words."""
        images = self.inputs[0].expected
        if images is None:
            return None
        sources = Sources(self.snapshot.stores, self.group, np.empty(0, np.int64))
        return sources.forecast(round(images))


class HighestByUnits(OverUnits):
    """The first k rows of an order by an aggregate of units; ties by key, missing values last."""

    def __init__(self, snapshot: Snapshot, below: Operator, key: SortKey, k: int) -> None:
        assert isinstance(key.value, UnitAggregate), "by whom it is planned"
        super().__init__(snapshot, below, f"the first {k} by {spell_key(key)}")
        self.key, self.k, self.by, self.group = key, k, key.value, key.value.units

    def _apply(self, table: pa.Table) -> pa.Table:
        keys = table.column("key").to_numpy()
        distinct = np.unique(keys)
        if not len(distinct):
            return table
        reader = self.snapshot.units(self.group, distinct)
        answer = reader.highest(measure_of(self.by), self.k, distinct, largest=self.key.descending)
        self.why = reader.summary(answer.work, int(answer.tied.sum()))
        return table.take(_rows_of(keys, answer.keys)).slice(0, self.k)


class NearestByUnits(OverUnits):
    """The k nearest of the images below in the space of a group of units; adds ``distance``."""

    def __init__(self, snapshot: Snapshot, below: Operator, step: Nearest) -> None:
        assert isinstance(step.by, UnitGroup)
        how = step.metric if step.weights is None else f"{step.metric}, weighted"
        super().__init__(snapshot, below, f"{step.k} nearest to {described(step)} by {spell_group(step.by)} ({how})")
        self.step, self.group = step, step.by

    def _apply(self, table: pa.Table) -> pa.Table:
        step = self.step
        keys = table.column("key").to_numpy()
        examples = [example.image for example in (*step.like, *step.unlike) if example.image is not None]
        allowed = np.unique(keys[~np.isin(keys, examples)])  # a stored image is not among its own neighbors
        if not len(allowed):
            return table.slice(0, 0).append_column("distance", pa.array([], pa.float64()))
        reader = self.snapshot.units(self.group, np.union1d(allowed, np.array(examples, np.int64)))
        query = query_of(step, len(self.group.numbers), reader.values)
        answer = reader.nearest(query, step.metric, step.k, allowed, step.weights)
        self.why = reader.summary(answer.work, int(answer.tied.sum()))
        found = table.take(_rows_of(keys, answer.keys, once=True))
        return found.append_column("distance", pa.array(answer.values, pa.float64()))


def _rows_of(keys: NDArray[np.int64], wanted: NDArray[np.int64], *, once: bool = False) -> pa.Array:
    """The rows of some keys, in the order of ``wanted``; of a key that occurs twice, both rows or the first."""
    if not len(wanted):
        return pa.array([], pa.int64())
    order = np.argsort(wanted)
    place = np.searchsorted(wanted[order], keys)
    matching = np.flatnonzero((place < len(wanted)) & (wanted[order][np.minimum(place, len(wanted) - 1)] == keys))
    rank = order[place[matching]]
    rows = matching[np.argsort(rank, kind="stable")]
    if once:
        _, first = np.unique(np.sort(rank), return_index=True)
        rows = rows[first]
    return pa.array(rows)
