"""Bounds of a group of units from stored activations, beside these: `UnitEstimates` asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph import neurons
from odin_graph.catalog.activations.reading import reading
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.catalog.activations.usage import record
from odin_graph.catalog.images.images import keys_of
from odin_graph.errors import QueryError, StoreError
from odin_graph.neurons.compare import Op
from odin_graph.query.expressions.nodes import UnitAggregate, UnitGroup
from odin_graph.query.units.unit_reader import UnitReader
from odin_graph.query.units.unit_stored import parts_of
from odin_graph.query.units.units import as_weights, check_aggregate, measure_of
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


class StoredEstimates:
    """Reads the stored codes of a group; for its methods see `UnitEstimates`.

    Args:
        stores: The open workspace.
        group: The group of units, with its checkpoint.
        keys: The keys of the images, sorted, each once.

    Raises:
        QueryError: No activations of the layer are stored, or they have no such unit.
    """

    def __init__(self, stores: Stores, group: UnitGroup, keys: Keys) -> None:
        self._stores, self._group, self._keys = stores, group, keys
        sets = [UnitSet(stores, stored) for stored in unit_sets(stores, group.checkpoint, group.layer, group.view)]
        if not sets:
            raise QueryError(
                f"No activations of {group.layer!r} are stored, so there are no bounds: store them first with "
                "layer.materialize(images)."
            )
        order = ("u8", "f16", "f32")
        self._set = max(sets, key=lambda set_: (-len(set_.missing(keys)), order.index(set_.record.codec)))
        if out := [number for number in group.numbers if not 0 <= number < self._set.record.units]:
            raise QueryError(f"There is no unit {out[0]}: {group.layer!r} has {self._set.record.units:,}.")

    @property
    def codec(self) -> str:
        """How the activations are stored that the bounds are of."""
        return self._set.record.codec

    @cached_property
    def uncovered(self) -> Keys:
        """The keys of images without stored activations, sorted."""
        return np.sort(self._set.missing(self._keys))

    def bounds(self, aggregate: str, weights: Sequence[float] | None) -> pa.Table:
        """A row an image, sorted by key."""
        keys, low, high = neurons.bounds(self._parts, self._measure(aggregate, weights), among=self._keys)
        order = np.argsort(keys)
        return _table(keys[order], low[order], high[order])

    def highest(self, k: int, aggregate: str, *, largest: bool, weights: Sequence[float] | None) -> pa.Table:
        """The images that most likely have the largest values, or the smallest."""
        measure = self._measure(aggregate, weights)
        found = neurons.highest_estimate(self._parts, measure, k, largest=largest, among=self._keys)
        return _table(found.keys, found.low, found.high, certain=pa.array(found.certain))

    def nearest(self, to: int | str | list[float], k: int, *, metric: str, weights: Sequence[float] | None) -> pa.Table:
        """The images that most likely are nearest to one, by its key or id, or to a vector."""
        own: int | None = None
        if isinstance(to, list):
            query = self._vector(to)
        else:
            own = int(keys_of(self._stores, [to])[0])
            query = UnitReader(self._stores, self._group, np.array([own], np.int64)).values(np.array([own]))[0]
        found = neurons.nearest_estimate(
            self._parts,
            query,
            metric,
            k,
            weights=None if weights is None else as_weights(weights),
            among=self._keys,
            exclude=None if own is None else np.array([own], np.int64),
        )
        return _table(found.keys, found.low, found.high, certain=pa.array(found.certain))

    def compare(self, aggregate: str, op: Op, threshold: float, *, weights: Sequence[float] | None) -> pa.Table:
        """A row an image, sorted by key: whether the comparison holds, where the bounds decide it."""
        measure = self._measure(aggregate, weights)
        found = neurons.compare_estimate(self._parts, measure, op, threshold, among=self._keys)
        keys = np.sort(np.concatenate([found.true, found.false, found.missing, found.undecided]))
        open_ = np.isin(keys, found.undecided)
        holds = pa.array(np.isin(keys, found.true), mask=open_ | np.isin(keys, found.missing))
        return pa.table({"key": keys, "holds": holds, "decided": ~open_})

    def _vector(self, to: list[float]) -> NDArray[np.float32]:
        found = np.asarray(to, np.float32)
        units = len(self._group.numbers)
        if found.shape != (units,):
            raise QueryError(
                f"The vector has shape {found.shape}, but there are {units} units: give one number for each."
            )
        return found

    @cached_property
    def _parts(self) -> list[neurons.Part]:
        stored = self._set.record
        with reading(self._stores, [stored.id]):
            array = self._set.array
            if not array.segments:
                raise StoreError(f"The stored activations of {self._group.layer!r} were removed: call it again.")
            parts = parts_of(array, stored.codec, np.array(self._group.numbers, np.int64))
        record(self._stores, stored.id, 0.0)
        return parts

    def _measure(self, aggregate: str, weights: Sequence[float] | None) -> neurons.Measure:
        node = UnitAggregate(self._group, aggregate, None if weights is None else as_weights(weights))
        check_aggregate(node)
        return measure_of(node)


def _table(keys: Keys, low: NDArray[np.float64], high: NDArray[np.float64], **more: pa.Array) -> pa.Table:
    ends = {name: pa.array(end, from_pandas=True) for name, end in (("low", low), ("high", high))}
    return pa.table({"key": pa.array(keys), **ends, **more})
