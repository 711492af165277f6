"""The columns that one execution reads, aligned to the images that flow through it.

Metadata columns are read once, together, so that one answer never mixes two states of the graph. What is frozen
(members, predictions) needs no such care.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.columns.floats import canonical
from odin_graph.columns.statistics import Statistics
from odin_graph.query.expressions.datum import plain
from odin_graph.query.expressions.moments import MovedError
from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    Field,
    FrozenLabel,
    ImageField,
    Node,
    PredictionField,
    Relation,
    UnitAggregate,
    UnitGroup,
)
from odin_graph.query.expressions.uncertainty import entropy, margin, rank
from odin_graph.query.names import cypher_source
from odin_graph.query.names.computed_fields import values_of
from odin_graph.query.names.kinds import read_things
from odin_graph.query.names.relations import related
from odin_graph.query.names.scope import Scope
from odin_graph.query.plan.plan import Cypher
from odin_graph.query.units.unit_reader import UnitReader

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Column:
    """Values by key; the keys are sorted."""

    keys: Keys
    values: pa.Array


class Snapshot:
    """Reads columns for one execution.

    Args:
        stores: The open workspace.
        scope: The meaning of the plan's names.
        fields: Every field that the plan reads.
        kind: What the rows are: ``Image``, or the label of other things, whose keys are the numbers of their rows.
        exact: Raise `MovedError` where the columns of images are of another moment than the scope's.
    """

    def __init__(
        self, stores: Stores, scope: Scope, fields: Iterable[Field], kind: str = "Image", *, exact: bool = False
    ) -> None:
        self.stores = stores
        self.exact = exact
        self.kind = kind
        self._scope = scope
        self._image_fields = sorted({field.name for field in fields if isinstance(field, ImageField)})
        self._at = scope.moment
        self._columns: dict[Field, _Column] = {}
        self._readers: dict[UnitGroup, UnitReader] = {}

    @cached_property
    def _images(self) -> pa.Table:
        names = [name for name in self._image_fields if name != "key"]
        if self.kind == "Image":
            table, token = self.stores.columns.images_at(names, at=self._at)
            if self.exact and token is not None and token != self._at.token:
                raise MovedError(token)
            return table
        return read_things(self._at, self.kind, [name for name in names if name in self._scope.fields])

    @cached_property
    def live(self) -> Keys:
        """The keys of all images that are not deleted, sorted."""
        return _keys(self._images)

    @property
    def ids(self) -> list[str]:
        """The ids of all things, where the rows are no images."""
        ids: list[str] = self._images.column("id").to_pylist()
        return ids

    @property
    def at(self) -> Moment:
        """The state of the graph that is read."""
        return self._at

    def total(self) -> int:
        """How many images there are, without reading them if they are not cached."""
        known = self.stores.columns.known("key", self._at)
        if known is not None:
            return known.rows
        return int(self._at.read("MATCH (n:Image) RETURN count(n) AS n")[0]["n"])

    def size_of(self, dataset: str) -> int:
        """How many members a data set version has."""
        return int(self.stores.columns.members(dataset, self._at).num_rows)

    def known(self, node: Node) -> Statistics | None:
        """The statistics of a field; None if there are none without reading a column that is not cached."""
        columns = self.stores.columns
        match node:
            case ImageField(name) if self.kind == "Image":
                return columns.known(name, self._at)
            case FrozenLabel(dataset):
                return columns.known_of(f"Dataset/{dataset}/members", "label", self._at)
            case PredictionField(_, _, "predicted" | "wrong" | "confidence" as name):
                ready_set = self._scope.prediction_set(node)
                return columns.known_of(f"PredictionSet/{ready_set.id}/columns", name, self._at)
        return None

    def members(self, dataset: str) -> Keys:
        """The keys of a data set version, in its order; deleted images are left out."""
        keys = _keys(self.stores.columns.members(dataset, self._at))
        return keys[self.alive(keys)]

    def alive(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of the keys are images that are not deleted."""
        return _found(self.live, keys)[1]

    def cypher_keys(self, cypher: Cypher) -> Keys:
        """The keys that a user's statement returns."""
        return cypher_source.keys(self.stores.graph, cypher)

    def units(self, group: UnitGroup, keys: Keys) -> UnitReader:
        """A reader of a group of units for images (sorted keys); one that was opened for more of them is reused."""
        reader = self._readers.get(group)
        if reader is None or not np.isin(keys, reader.keys, assume_unique=True).all():
            reader = self._readers[group] = UnitReader(self.stores, group, keys)
        return reader

    def column(self, field: Field, keys: Keys) -> pa.Array:
        """The values of a field for these keys; null where there is none."""
        loaded = self._columns.get(field)
        if loaded is None:
            loaded = self._columns[field] = self._load(field)
        if loaded.keys is keys or np.array_equal(loaded.keys, keys):
            return loaded.values
        positions, found = _found(loaded.keys, keys)
        return loaded.values.take(pa.array(positions, mask=~found))

    def _load(self, field: Field) -> _Column:
        match field:
            case ImageField(name) if name not in self._images.column_names:
                return _Column(self.live, values_of(self.stores, self._at, self.kind, name, self.ids))
            case ImageField(name):
                return _Column(self.live, plain(self._images.column(name)))
            case FrozenLabel(dataset):
                members = self.stores.columns.members(dataset, self._at)
                keys = _keys(members)
                order = np.argsort(keys, kind="stable")
                return _Column(keys[order], plain(members.column("label")).take(pa.array(order)))
            case PredictionField(_, _, "predicted" | "wrong" | "confidence" as name):
                predictions = self.stores.columns.predictions(self._scope.prediction_set(field).id, self._at)
                return _Column(_keys(predictions), plain(predictions.column(name)))
            case PredictionField():
                keys, probabilities = self.stores.columns.probabilities(self._scope.prediction_set(field).id, self._at)
                return _Column(keys, canonical(self._of_probabilities(field, keys, probabilities)))
            case Relation():
                return _Column(self.live, pa.array(np.isin(self.live, related(self.stores, field))))
            case Added() | Aggregate() | UnitAggregate():
                raise AssertionError("a column of the answer is read from the answer")
        assert_never(field)

    def _of_probabilities(self, field: PredictionField, keys: Keys, probabilities: NDArray[np.float32]) -> pa.Array:
        match field.name:
            case "margin":
                return pa.array(margin(probabilities), from_pandas=True)
            case "entropy":
                return pa.array(entropy(probabilities), from_pandas=True)
            case "rank":
                ready_set = self._scope.prediction_set(field)
                truth = self.column(FrozenLabel(ready_set.dataset), keys).to_pylist()
                place = {(type(name), name): position for position, name in enumerate(ready_set.classes or ())}
                at = np.array([place.get((type(label), label), -1) for label in truth], np.int64)
                return pa.array(rank(probabilities, np.maximum(at, 0)), mask=at < 0)
        return pa.array(probabilities[:, self._scope.class_position(field)].astype(np.float64), from_pandas=True)


def _keys(table: pa.Table) -> Keys:
    keys: Keys = table.column("key").to_numpy()
    return keys


def _found(stored: Keys, wanted: Keys) -> tuple[Keys, NDArray[np.bool_]]:
    """The positions of the wanted keys among the sorted stored ones, and which of them were found."""
    if not len(stored):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    if stored[-1] - stored[0] == len(stored) - 1:  # without a gap, as images are that were stored one after the other
        positions = wanted - stored[0]
        present = (positions >= 0) & (positions < len(stored))
        return np.where(present, positions, 0), present
    positions = np.minimum(np.searchsorted(stored, wanted), len(stored) - 1)
    return positions, stored[positions] == wanted
