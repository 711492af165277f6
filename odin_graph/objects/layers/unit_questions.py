"""Analysis of all units of a layer: statistics, selectivity, hypotheses, similar units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.affinity import Affinity, affinity
from odin_graph.analysis.units.kinds import Hypothesis
from odin_graph.analysis.units.selectivity import Selectivity, selectivity
from odin_graph.analysis.units.similar import SimilarUnits, similar_units
from odin_graph.analysis.units.slab import Slab
from odin_graph.analysis.units.stats import UnitStats, unit_stats
from odin_graph.catalog.activations.reading import reading
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.catalog.activations.usage import record
from odin_graph.client import LocalSession
from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.layers.hypotheses import Hypotheses
from odin_graph.objects.query.of_images import query_of_images
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.expressions import Expr, F, as_node
from odin_graph.query.expressions.nodes import UnitGroup, UnitView
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.query.units.calibration import Calibration
from odin_graph.query.units.unit_lists import keeping
from odin_graph.served import served, served_as
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.arrays.units import UnitCodec
    from odin_graph.objects.collections.activations import ActivationSet

_SLAB_BYTES: Final = 64 << 20
_MASKS: Final = 3
"""Axes of masks: images, height, width."""


class UnitQuestions(InSession):
    """Mixed into `Layer`. Each method needs the values of all units, and stores them first if they are missing."""

    checkpoint: str
    name: str

    @property
    @abstractmethod
    def node(self) -> LayerOf:
        """Its form in a plan."""

    def materialize(
        self, images: Any, *, codec: UnitCodec = "u8", view: UnitView = "units", **how: Any
    ) -> ActivationSet:
        """Store the activations of all units for images. Only missing ones are computed.

        Args:
            images: A query, images, their ids or keys.
            codec: ``u8`` for codes that bound each value, ``f16``, or ``f32`` for the exact values.
            view: ``units``, or ``channels-max``, ``channels-mean``, ``channels-argmax``.
            how: ``device``, ``batch``, ``autocast`` and ``progress``.
        """
        from odin_graph.runtime.passes.materialize import materialize
        from odin_graph.runtime.passes.unit_plan import Want

        want = Want(self.name, view, codec)
        (set_id,) = materialize(
            self._stores, self.checkpoint, [want], self._keys(images), beside=keeping(self._stores), **how
        )
        made: ActivationSet = class_of("ActivationSet")(self._session, set_id)
        return made

    def stats(self, images: Any = None, *, view: UnitView = "units") -> UnitStats:
        """One row for each unit: mean, deviation, sparsity, quantiles, and whether it is dead.

        Args:
            images: A query, images, their ids or keys; by default the images with stored activations.
            view: See `materialize`.
        """
        return self._session.ask(_stats_of, self.node, self.plan_of(images), view)

    def selectivity(
        self, images: Any = None, *, group_by: str | Expr = "label", view: UnitView = "units", bins: int = 10
    ) -> Selectivity:
        """How well each unit separates classes: class selectivity, mutual information, the AUC of each class.

        Args:
            images: See `stats`.
            group_by: A field or expression that gives the classes.
            view: See `stats`.
            bins: The number of bins for the values of a unit, for the mutual information.
        """
        value = F(group_by) if isinstance(group_by, str) else group_by
        return self._session.ask(
            _selectivity_of, self.node, self.plan_of(images), Column("value", as_node(value)), view, bins
        )

    def affinity(
        self, hypotheses: Mapping[str, Any], images: Any = None, *, view: UnitView = "channels-max"
    ) -> Affinity:
        """Compare every unit with every hypothesis, with significance and correction for multiple tests.

        ``layer.affinity({"age": F("age"), "is_DME": F("label") == "DME", "vessel": masks})``

        Args:
            hypotheses: Expressions of a query; values, one for each image in the order of ``images``; masks (n, h, w),
                which are compared with the maps of channels, position by position; or an
                `odin_graph.analysis.units.kinds.Hypothesis` of any of these.
            images: See `stats`.
            view: See `stats`. With masks, it is the maps of channels; other hypotheses use their largest value.
        """
        if not isinstance(hypotheses, Mapping):
            raise QueryError('Hypotheses need names: give a dict, as in {"age": F("age")}.')
        return self._session.ask(_affinity_of, self.node, self.plan_of(images), Hypotheses(hypotheses), view)

    def similar_units(self, images: Any = None, *, threshold: float = 0.95, view: UnitView = "units") -> SimilarUnits:
        """Pairs of correlated units (|r| at least the threshold), and duplicates, whose values are always equal.

        Args:
            images: See `stats`.
            threshold: The smallest absolute correlation.
            view: See `stats`.
        """
        return self._session.ask(_similar_of, self.node, self.plan_of(images), threshold, view)

    def plan_of(self, images: Any) -> Plan | None:
        """The images as a plan, which travels."""
        return None if images is None else query_of_images(self._session, images).plan

    def _query(self, images: Any, view: UnitView) -> Query:
        if images is not None:
            return query_of_images(self._session, images)
        sets = unit_sets(self._stores, self.checkpoint, self.name, view)
        if not sets:
            raise QueryError(
                f"No {view} of {self.name!r} are stored: give images, or store them first with "
                "layer.materialize(images)."
            )
        keys = max((UnitSet(self._stores, stored).coverage() for stored in sets), key=len)
        return Query(self._session.address, Plan(Keys(tuple(keys.tolist()))))

    def _keys(self, images: Any) -> NDArray[np.int64]:
        return keys_of_images(self._session, images)

    def slabs(self, query: Query, view: UnitView) -> Iterator[Slab]:
        """The values of all units, some at a time, over the images by key.

        Args:
            query: The images.
            view: Units, or channels by their largest value or mean.
        """
        with self._stored_values(query, view) as (keys, unit_set):
            step = max(1, _SLAB_BYTES // (4 * max(1, len(keys))))
            for start in range(0, unit_set.record.units, step):
                check()  # of a server: this may take longer than it allows
                units = np.arange(start, min(start + step, unit_set.record.units))
                yield Slab(units, _columns(unit_set, units, keys))

    def maps(self, query: Query) -> Iterator[Slab]:
        """The maps of channels (u, n, h, w), some at a time, over the images by key."""
        with self._stored_values(query, "units") as (keys, unit_set):
            shape = unit_set.record.shape
            if len(shape) != 3:
                raise QueryError(f"The layer {self.name!r} has no maps to compare with masks: its output is {shape}.")
            channels, height, width = shape
            place = height * width
            step = max(1, _SLAB_BYTES // (4 * place * max(1, len(keys))))
            for start in range(0, channels, step):
                check()
                which = np.arange(start, min(start + step, channels))
                values = _columns(unit_set, np.arange(which[0] * place, (which[-1] + 1) * place), keys)
                yield Slab(which, values.reshape(len(which), height, width, len(keys)).transpose(0, 3, 1, 2))

    @contextmanager
    def _stored_values(self, query: Query, view: UnitView) -> Iterator[tuple[NDArray[np.int64], UnitSet]]:
        """The images, and the set of their values, which nobody drops while it is read."""
        keys = np.unique(query.keys())
        if not len(keys):
            raise QueryError("The query selects no images, so there are no values of units.")
        set_id = self.materialize(keys.tolist(), codec="f32", view=view).id
        with reading(self._stores, [set_id]):
            self.materialize(keys.tolist(), codec="f32", view=view)  # it may have been dropped in between; now it stays
            unit_set = UnitSet.open(self._stores, set_id)
            yield keys, unit_set
            layer = Calibration(self._stores).layer(UnitGroup("", self.name, (0,), self.checkpoint, view))
            record(self._stores, set_id, 0.0 if layer is None else layer.speeds().running(len(keys)))


def layer_of(stores: Stores, of: LayerOf) -> UnitQuestions:
    """The layer of a plan, over open stores."""
    layer: UnitQuestions = class_of("Layer")(
        LocalSession(stores), of.experiment, of.layer, checkpoint=of.checkpoint, pooling=of.pooling
    )
    return layer


def queried_images(stores: Stores, layer: UnitQuestions, images: Plan | None, view: UnitView) -> Query:
    """The images of a plan; without one, those with stored values."""
    return layer._query(None if images is None else Query(stores.address, images), view)  # noqa: SLF001 - of this file


@served
def _stats_of(stores: Stores, of: LayerOf, images: Plan | None, view: UnitView) -> UnitStats:
    layer = layer_of(stores, of)
    return unit_stats(layer.slabs(queried_images(stores, layer, images, view), view))


@served
def _selectivity_of(
    stores: Stores, of: LayerOf, images: Plan | None, group_by: Column, view: UnitView, bins: int
) -> Selectivity:
    layer = layer_of(stores, of)
    query = queried_images(stores, layer, images, view)
    return selectivity(layer.slabs(query, view), _values_of(query, Expr(group_by.value)), bins=bins)


def _affinity(stores: Stores, of: LayerOf, images: Plan | None, hypotheses: Hypotheses, view: UnitView) -> Affinity:
    layer = layer_of(stores, of)
    query = queried_images(stores, layer, images, view)
    order = np.argsort(_unique_keys(query), kind="stable")
    prepared: dict[str, Any] = {}
    maps = False
    for name, hypothesis in hypotheses.by_name.items():
        values = hypothesis.values if isinstance(hypothesis, Hypothesis) else hypothesis
        maps |= getattr(values, "ndim", 1) == _MASKS
        values = _values_of(query, values) if isinstance(values, Expr) else _ordered(name, values, order)
        prepared[name] = Hypothesis(values, hypothesis.measures) if isinstance(hypothesis, Hypothesis) else values
    summary = "mean" if view == "channels-mean" else "max"
    slabs = layer.maps(query) if maps else layer.slabs(query, view)
    return affinity(slabs, prepared, summary=summary)


def _affinity_for_others(
    stores: Stores, of: LayerOf, images: Plan | None, hypotheses: dict[str, Any], view: UnitView
) -> Affinity:
    return _affinity(stores, of, images, Hypotheses.of_json(hypotheses), view)


@served_as(_affinity_for_others)
def _affinity_of(stores: Stores, of: LayerOf, images: Plan | None, hypotheses: Hypotheses, view: UnitView) -> Affinity:
    return _affinity(stores, of, images, hypotheses, view)


@served
def _similar_of(stores: Stores, of: LayerOf, images: Plan | None, threshold: float, view: UnitView) -> SimilarUnits:
    layer = layer_of(stores, of)
    return similar_units(layer.slabs(queried_images(stores, layer, images, view), view), threshold)


def _columns(unit_set: UnitSet, units: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """Values (u, n) of some units, in the order of sorted keys."""
    values = np.empty((len(units), len(keys)), np.float32)
    for block in unit_set.blocks(units, keep=False):
        place = np.searchsorted(keys, block.keys)
        present = np.flatnonzero((place < len(keys)) & (keys[np.minimum(place, len(keys) - 1)] == block.keys))
        values[:, place[present]] = block.decoded()[:, present]
    return values


def _unique_keys(query: Query) -> NDArray[np.int64]:
    keys = query.keys()
    if len(np.unique(keys)) != len(keys):
        raise QueryError("An image is given twice: give each image once, for example with query.distinct('id').")
    return keys


def _values_of(query: Query, expression: Expr) -> pa.Array:
    """An expression's values, by key."""
    table = query.to_arrow("id", value=expression).select(["key", "value"]).sort_by("key")
    keys = table.column("key").to_numpy()
    first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1 if len(keys) else 0))
    return table.column("value").combine_chunks().take(pa.array(first))


def _ordered(name: str, values: Any, order: NDArray[np.int64]) -> Any:
    """Values that came in the order of the images, by key."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise QueryError(
            f"The hypothesis {name!r} must be an expression, one value for each image, or masks, not {values!r:.80}."
        )
    if len(values) != len(order):
        raise QueryError(f"The hypothesis {name!r} has {len(values)} values, but there are {len(order)} images.")
    if hasattr(values, "take") and not hasattr(values, "iloc"):
        return values.take(order, axis=0) if isinstance(values, np.ndarray) else values.take(pa.array(order))
    if hasattr(values, "iloc"):
        return values.iloc[order]
    return [values[place] for place in order.tolist()]
