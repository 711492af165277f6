"""Units of a layer: single neurons, channels, and groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.units.image import UnusualUnits, unusual_units
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.layers.unit_estimates import UnitEstimates
from odin_graph.objects.layers.unit_expressions import UnitExpressions, numbers_in
from odin_graph.objects.layers.unit_questions import layer_of, queried_images
from odin_graph.objects.query.of_images import query_of_images
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.nodes import UnitGroup, UnitView
from odin_graph.query.expressions.spelling import spell_group
from odin_graph.query.names.spaces import bound_group
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.query.units.unit_lists import first_of
from odin_graph.query.units.unit_reader import UnitReader
from odin_graph.query.units.units import check_group
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.layers.layer import Layer
    from odin_graph.objects.layers.unit_estimates import UnitEstimates


@checked_calls
class Units(UnitExpressions):
    """A group of units in an order: ``layer.units[[3, 17, 88]]``, ``layer.channels.max()[5]``.

    Its aggregates are expressions of a query, ``order_by(units.mean().desc())``. A single unit is an expression itself,
    ``where(layer.units[3] > 2.5)``. A group is also a space, ``nearest(image, by=units, k=20)``.
    """

    def __init__(self, layer: Layer, view: UnitView, numbers: Sequence[int] | None = None) -> None:
        self._layer, self._view = layer, view
        self._numbers = None if numbers is None else tuple(numbers)
        """None stands for all units."""

    def __getitem__(self, which: int | slice | Iterable[int]) -> Units:
        """Some of these units, by number; in a group, by position in the group."""
        if isinstance(which, slice):
            return Units(self._layer, self._view, self.numbers[which])
        wanted = numbers_in(which)
        if self._numbers is not None:
            numbers = self._numbers
            if out := [number for number in wanted if not -len(numbers) <= number < len(numbers)]:
                raise QueryError(f"There is no unit at position {out[0]}: the group has {len(numbers):,}.")
            return Units(self._layer, self._view, [numbers[number] for number in wanted])
        units = Units(self._layer, self._view, wanted)
        check_group(units.node, self._layer.shape)
        return units

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the units, from 0.

        Raises:
            QueryError: The number of units of the layer is not known.
        """
        return self._every if self._numbers is None else self._numbers

    @cached_property
    def _every(self) -> tuple[int, ...]:
        if self._layer.shape is None:
            raise QueryError(
                f"The number of units of {self._layer.name!r} is unknown before it runs: list units, or add the model "
                "with an input_shape=."
            )
        from odin_graph.runtime.layers.unit_pooling import shape_by

        return tuple(range(prod(shape_by(self._view, self._layer.shape))))

    @property
    def node(self) -> UnitGroup:
        """Its form in a plan."""
        layer = self._layer.node
        return UnitGroup(layer.experiment, layer.layer, self.numbers, layer.checkpoint, self._view)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Units]:
        """Each unit on its own."""
        return (Units(self._layer, self._view, [number]) for number in self.numbers)

    def values(self, images: Any) -> NDArray[np.float32]:
        """The values for images (n, G), in their order: read from storage, or computed by the model.

        Args:
            images: A query, images, their ids or keys.
        """
        return self._session.ask(_values_of, self.node, self._keys(images).tolist())

    def unusual(self, key: int, against: Any, k: int | None, measure: Literal["z", "percentile"]) -> UnusualUnits:
        """The units with the most unusual values for an image; see `Image.unusual_units`."""
        return self._session.ask(
            _unusual_of, self._layer.node, self.node, key, self._layer.plan_of(against), k, measure
        )

    def estimate(self, images: Any) -> UnitEstimates:
        """Approximate answers: bounds from stored activations only. The model does not run, and nothing is stored.

        Args:
            images: A query, images, their ids or keys.
        """
        return UnitEstimates(self._session, self.node, np.unique(self._keys(images)))

    def top(self, k: int, images: Any = None, *, largest: bool = True) -> Query:
        """The k images with the highest value of a single unit, as a query.

        Args:
            k: The number of images.
            images: A query; by default all images with stored activations. Their top images are known from lists that
                were kept while the activations were stored.
            largest: False for the lowest values.
        """
        if images is None:
            kept, covered = self._session.ask(_kept, self.node, k, largest)
            every = Query(self._session.address, Plan(Keys(tuple(covered.tolist()))))
            if kept:
                return every
            images = every
        by = self.value()
        images = query_of_images(self._session, images)
        found: Query = images.order_by(by.desc() if largest else by).limit(k)
        return found

    @property
    def _session(self) -> Session:
        return self._layer._session  # noqa: SLF001 - of its layer

    def _keys(self, images: Any) -> NDArray[np.int64]:
        keys = keys_of_images(self._session, images)
        return np.asarray(keys, np.int64)

    def __repr__(self) -> str:
        return f"Units({spell_group(self.node)})"


@served
def _values_of(stores: Stores, group: UnitGroup, keys: list[int]) -> NDArray[np.float32]:
    """The values of units for images (n, G)."""
    wanted = np.array(keys, np.int64)
    return UnitReader(stores, bound_group(stores, group), np.unique(wanted)).values(wanted)


@served
def _unusual_of(
    stores: Stores,
    of: LayerOf,
    group: UnitGroup,
    key: int,
    against: Plan | None,
    k: int | None,
    measure: Literal["z", "percentile"],
) -> UnusualUnits:
    layer = layer_of(stores, of)
    own = _values_of(stores, group, [key])[0]
    keys = [
        int(other) for other in np.unique(queried_images(stores, layer, against, group.view).keys()) if other != key
    ]
    slabs = layer.slabs(queried_images(stores, layer, Plan(Keys(tuple(keys))), group.view), group.view)
    return unusual_units(slabs, np.array(group.numbers, np.int64), own, k, measure=measure)


@served
def _kept(stores: Stores, group: UnitGroup, k: int, largest: bool) -> tuple[bool, NDArray[np.int64]]:
    """The k images of kept lists, if they reach so far; else all images that the units are stored for."""
    records = unit_sets(stores, group.checkpoint, group.layer, group.view)
    if not records:
        raise QueryError(
            f"No activations of {group.layer!r} are stored: give images, as in "
            f"units[3].top({k}, db.images(...)), or store them with layer.materialize(images)."
        )
    widest = max((UnitSet(stores, set_) for set_ in records), key=lambda set_: len(set_.coverage()))
    found = first_of(widest, group.numbers[0], largest=largest) if len(group.numbers) == 1 else None
    if found is not None and len(found) >= k:
        # Some may have been deleted since.
        existing = Query(stores.address, Plan(Keys(tuple(found.tolist())))).keys()[:k]
        if len(existing) == k:
            return True, existing
    return False, widest.coverage()


@checked_calls
class Channels:
    """The channels of a layer, each summarized over its positions: ``layer.channels.max()[5]``."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    def max(self) -> Units:
        """The largest value of each channel."""
        return Units(self._layer, "channels-max")

    def mean(self) -> Units:
        """The mean of each channel."""
        return Units(self._layer, "channels-mean")

    def argmax(self) -> Units:
        """The position of the largest value of each channel, numbered in C order."""
        return Units(self._layer, "channels-argmax")

    def __getitem__(self, which: int | slice | Iterable[int]) -> Units:
        """Some of the channels, by their largest value."""
        return self.max()[which]

    def __len__(self) -> int:
        return len(self.max())

    def __repr__(self) -> str:
        return f"Channels({self._layer.name!r}: {len(self)})"
