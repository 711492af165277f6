"""Groups of units in a plan: whether they exist, and how they become one number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odin_graph import neurons
from odin_graph.catalog.activations.unit_sets import CHANNELS
from odin_graph.errors import QueryError
from odin_graph.neurons import AGGREGATES
from odin_graph.query.expressions.nodes import UnitAggregate, UnitGroup

if TYPE_CHECKING:
    pass


def check_group(group: UnitGroup, shape: Sequence[int] | None) -> None:
    """Check that a layer has these units.

    Args:
        group: Bound to a checkpoint.
        shape: Of the layer's output for one image; None if it is unknown before it runs.

    Raises:
        QueryError: There is no such unit, or none was named.
    """
    if not group.numbers:
        raise QueryError(f"No unit of {group.layer!r} was named: say which, as in units[[3, 17, 88]].")
    if shape is None:
        return
    from odin_graph.runtime.layers.unit_pooling import shape_by, units_of_shape

    units = units_of_shape(shape_by(group.view, shape))
    wrong = [number for number in group.numbers if not 0 <= number < units]
    if wrong:
        what = "channel" if group.view in CHANNELS else "unit"
        raise QueryError(
            f"There is no {what} {wrong[0]}: the layer {group.layer!r} has {units:,}, numbered from 0 to {units - 1:,}."
        )


def check_aggregate(aggregate: UnitAggregate) -> None:
    """Check that there is such an aggregate of so many units; raises as `neurons.aggregate` does."""
    measure_of(aggregate)
    if aggregate.weights is not None and len(aggregate.weights) != len(aggregate.units.numbers):
        raise QueryError(
            f"There are {len(aggregate.units.numbers)} units, and {len(aggregate.weights)} weights: give one each."
        )


def as_weights(given: Iterable[Any]) -> tuple[float, ...]:
    """Weights as a plan holds them.

    Raises:
        QueryError: They are no numbers.
    """
    try:
        return tuple(float(weight) for weight in given)
    except (TypeError, ValueError) as error:
        raise QueryError(f"Weights are numbers, one a unit, not {given!r:.80}.") from error


def measure_of(aggregate: UnitAggregate) -> neurons.Measure:
    """The function that makes one number of a group.

    Raises:
        UnknownNameError: There is no such aggregate.
        QueryError: Weights are missing, or make no sense.
    """
    if aggregate.function == "value":
        if len(aggregate.units.numbers) != 1:
            raise QueryError("Several units have no value: say mean(), sum(), max() or another aggregate of them.")
        return neurons.aggregate("sum")
    AGGREGATES.get(aggregate.function)
    return neurons.aggregate(aggregate.function, None if aggregate.weights is None else np.array(aggregate.weights))
