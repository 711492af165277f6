"""What groups of units say of images: stored first where it is missing, then asked of the neuron engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph import neurons
from odin_graph.catalog.unit_sets import CHANNELS, UnitSet, unit_sets
from odin_graph.errors import QueryError
from odin_graph.graph.read_only import check_may_write
from odin_graph.neurons import AGGREGATES, Answer, Block, Decision, Measured, Part, Values
from odin_graph.neurons.compare import Op
from odin_graph.query.nodes import UnitAggregate, UnitGroup

if TYPE_CHECKING:
    from odin_graph.runtime.rerun import Rerun
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]

_PREFERRED: Final = ("f32", "f16", "u8")
"""Values need no bounds, and those of half precision leave less open than codes do."""


def check_group(group: UnitGroup, shape: Sequence[int] | None) -> None:
    """Whether a layer has these units.

    Args:
        group: Bound to a checkpoint.
        shape: Of the layer's output for one image; None where nobody knows before it runs.

    Raises:
        QueryError: There is no such unit, or none was named.
    """
    if not group.numbers:
        raise QueryError(f"No unit of {group.layer!r} was named: say which, as in units[[3, 17, 88]].")
    if shape is None:
        return
    from odin_graph.runtime.unit_pooling import shape_by, units_of_shape

    units = units_of_shape(shape_by(group.view, shape))
    wrong = [number for number in group.numbers if not 0 <= number < units]
    if wrong:
        what = "channel" if group.view in CHANNELS else "unit"
        raise QueryError(
            f"There is no {what} {wrong[0]}: the layer {group.layer!r} has {units:,}, numbered from 0 to {units - 1:,}."
        )


def check_aggregate(said: UnitAggregate) -> None:
    """Whether there is such an aggregate of so many units; raises as `neurons.aggregate` does."""
    measure_of(said)
    if said.weights is not None and len(said.weights) != len(said.units.numbers):
        raise QueryError(f"There are {len(said.units.numbers)} units, and {len(said.weights)} weights: give one each.")


def as_weights(given: Iterable[Any]) -> tuple[float, ...]:
    """Weights as a plan holds them.

    Raises:
        QueryError: They are no numbers.
    """
    try:
        return tuple(float(weight) for weight in given)
    except (TypeError, ValueError) as error:
        raise QueryError(f"Weights are numbers, one a unit, not {given!r:.80}.") from error


def measure_of(said: UnitAggregate) -> neurons.Measure:
    """How a group becomes one number.

    Raises:
        UnknownNameError: There is no such aggregate.
        QueryError: Weights are missing, or make no sense.
    """
    if said.function == "value":
        if len(said.units.numbers) != 1:
            raise QueryError("Several units have no value: say mean(), sum(), max() or another aggregate of them.")
        return neurons.aggregate("sum")
    AGGREGATES.get(said.function)
    return neurons.aggregate(said.function, None if said.weights is None else np.array(said.weights))


@dataclass(frozen=True, eq=False)
class UnitReader:
    """A group of units over some images, which are stored before they are read."""

    stores: Stores
    group: UnitGroup
    """Bound to a checkpoint."""
    keys: Keys
    """The images that it can be asked for, sorted."""

    @cached_property
    def held(self) -> UnitSet:
        """The set that covers the images; made, or added to, where there is none."""
        group = self.group
        assert group.checkpoint is not None, "bound before"
        for codec in _PREFERRED:
            for record in unit_sets(self.stores, group.checkpoint, group.layer, group.view):
                found = UnitSet(self.stores, record)
                if record.codec == codec and not len(found.missing(self.keys)):
                    return found
        check_may_write()
        from odin_graph.query.unit_lists import keeping
        from odin_graph.runtime.materialise import materialise
        from odin_graph.runtime.unit_plan import Want

        # The model has to see every one of them, and keeping what it says costs little more than that.
        want = Want(group.layer, group.view, "u8" if group.view == "units" else "f32")
        (set_id,) = materialise(self.stores, group.checkpoint, [want], self.keys, beside=keeping(self.stores))
        return UnitSet.open(self.stores, set_id)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The units of the group."""
        return np.array(self.group.numbers, np.int64)

    @cached_property
    def parts(self) -> list[Part]:
        """What is stored of the group."""
        return parts_of(self.held, self.numbers)

    @cached_property
    def exact(self) -> Rerun | None:
        """The model, for what is not decided by what is stored; None where that is the values as captured."""
        if self.held.record.codec == "f32":
            return None
        from odin_graph.runtime.rerun import Rerun

        assert self.group.checkpoint is not None, "bound before"
        return Rerun.of(self.stores, self.held.record, self.group.checkpoint, self.group.layer, self.numbers)

    @cached_property
    def noise(self) -> NDArray[np.float64] | None:
        """How far what is run again may lie from what was captured."""
        return None if self.exact is None else self.held.noise(self.numbers)

    def highest(self, measure: neurons.Measure, k: int, keys: Keys, *, largest: bool) -> Answer:
        """The k images with the largest, or smallest, values."""
        return neurons.highest(
            self.parts,
            measure,
            k,
            largest=largest,
            among=keys,
            exact=self.exact,
            noise=self.noise,
            threads=self._threads,
        )

    def nearest(self, query: Any, metric: str, k: int, keys: Keys, weights: Any) -> Answer:
        """The k images nearest to a query in the group's space."""
        return neurons.nearest(
            self.parts,
            query,
            metric,
            k,
            weights=weights,
            among=keys,
            exact=self.exact,
            noise=self.noise,
            threads=self._threads,
        )

    def compare(self, measure: neurons.Measure, op: Op, threshold: float, keys: Keys) -> Decision:
        """Which of the images satisfy a condition."""
        return neurons.compare(
            self.parts,
            measure,
            op,
            threshold,
            among=keys,
            exact=self.exact,
            noise=self.noise,
            threads=self._threads,
        )

    def measured(self, measure: neurons.Measure, keys: Keys) -> Measured:
        """The value of each image."""
        return neurons.values(self.parts, measure, among=keys, exact=self.exact, noise=self.noise)

    def values(self, keys: Keys) -> NDArray[np.float32]:
        """What each unit says of images (n, G), in the order of the keys."""
        if self.exact is not None:
            return self.exact(keys)
        return self.held.values(self.numbers, keys)

    def told(self, work: neurons.Work, tied: int = 0) -> str:
        """What an answer took, for `explain`."""
        if self.held.record.codec == "f32":
            return f"the values of {work.scanned:,} images are stored"
        rests = f"; {tied:,} of them rest on less than the noise of a second run" if tied else ""
        stored = "codes" if self.held.record.codec == "u8" else "values of half precision"
        return (
            f"{stored} bound {work.scanned:,} images and left {work.candidates:,}, of which the model was run again on "
            f"{work.verified:,}{rests}"
        )

    @property
    def _threads(self) -> int:
        return self.stores.budget.threads


def parts_of(held: UnitSet, numbers: NDArray[np.int64]) -> list[Part]:
    """What a set holds of some units, as the engine reads it."""
    blocks = held.blocks(numbers)
    if held.record.codec == "u8":
        return [Block(one.keys, one.values, *one.tables()) for one in blocks]
    error = held.error(numbers) if held.record.codec == "f16" else None
    return [Values(one.keys, one.decoded(), error) for one in blocks]


def group_of_pixels(stores: Stores, group: UnitGroup, pixels: NDArray[Any]) -> NDArray[np.float32]:
    """What a group says (G,) of an image (h, w, bands) that is not stored.

    Raises:
        ShapeError: The model refuses it.
    """
    from odin_graph.runtime.inputs import to_inputs
    from odin_graph.runtime.model import Runnable
    from odin_graph.runtime.unit_pass import Part as RunPart
    from odin_graph.runtime.unit_pass import running

    assert group.checkpoint is not None, "bound before"
    runnable, part = Runnable.load(stores, group.checkpoint, batch=1), RunPart(group.layer, group.view)
    with running(runnable, [part]) as run:
        said: NDArray[np.float32] = run(to_inputs(runnable.pipeline, pixels[None]))[part][0]
    return said[np.array(group.numbers, np.int64)]
