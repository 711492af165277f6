"""Activations of a group of units for images, from any source: the queries of the neuron engine, and their times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from odin_graph import neurons
from odin_graph.catalog.activations import usage
from odin_graph.errors import StoreError
from odin_graph.neurons import Answer, Decision, Measured, Work
from odin_graph.neurons.compare import Op
from odin_graph.neurons.costs import Kind, MachineSpeeds
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units.calibration import Calibration
from odin_graph.query.units.unit_source import Source, Sources

if TYPE_CHECKING:
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
_Answer = TypeVar("_Answer", Answer, Decision, Measured)

_LOOKS: Final = 3
"""Attempts to read what is stored: another process may drop a set between its lookup and the reading."""
_BOUNDS: Final = {"u8": "codes", "f16": "values of half precision"}


class UnitReader:
    """A group of units over some images.

    Args:
        stores: The open workspace.
        group: Bound to a checkpoint.
        keys: The images that it can be asked for, sorted, each once.
    """

    def __init__(self, stores: Stores, group: UnitGroup, keys: Keys) -> None:
        self.keys = keys
        self._stores, self._group = stores, group
        self._opened: dict[Kind, Source] = {}
        """By kind of query; the one that was used last is at the end."""

    def highest(self, measure: neurons.Measure, k: int, keys: Keys, *, largest: bool) -> Answer:
        """The k images with the largest, or smallest, values."""
        return self._ask(
            lambda how: neurons.highest(measure=measure, k=k, largest=largest, among=keys, threads=self._threads, **how)
        )

    def nearest(self, query: Any, metric: str, k: int, keys: Keys, weights: Any) -> Answer:
        """The k images nearest to a query in the group's space."""
        return self._ask(
            lambda how: neurons.nearest(
                query=query, metric=metric, k=k, weights=weights, among=keys, threads=self._threads, **how
            )
        )

    def compare(self, measure: neurons.Measure, op: Op, threshold: float, keys: Keys) -> Decision:
        """Which of the images satisfy a condition."""
        return self._ask(
            lambda how: neurons.compare(
                measure=measure, op=op, threshold=threshold, among=keys, threads=self._threads, **how
            ),
            "beyond",
        )

    def measured(self, measure: neurons.Measure, keys: Keys) -> Measured:
        """The value of each image."""
        return self._ask(lambda how: neurons.values(measure=measure, among=keys, **how), "every")

    def values(self, keys: Keys) -> NDArray[np.float32]:
        """The activations of each unit for images (n, G), in the order of the keys, which may repeat."""
        if not len(keys):
            return np.empty((0, len(self._group.numbers)), np.float32)
        distinct, back = np.unique(keys, return_inverse=True)
        lost: StoreError | None = None
        for _ in range(_LOOKS):
            try:
                source = Sources(self._stores, self._group, distinct).open("every")
            except StoreError as error:  # the set is being dropped
                lost = error
                continue
            found = source.exact(distinct) if source.exact is not None else _gathered(source.parts, distinct)
            if found is not None:
                self._note(source, len(distinct) - source.run)
                return found[back]
        raise lost or self._lost()

    def summary(self, work: Work, tied: int = 0) -> str:
        """What the last answer took, and why it came from this source, for `explain`."""
        source = list(self._opened.values())[-1]
        ran = f"the model was run on {source.run:,} images" if source.run else ""
        if source.exact is None:
            stored = work.scanned - source.run
            found = [f"the values of {stored:,} images are stored" if source.stored is not None else "", ran]
            return f"{', '.join(filter(None, found))} ({source.why})"
        rests = f"; {tied:,} of them rest on less than the noise of a second run" if tied else ""
        bounds = _BOUNDS[source.option.codec or ""]
        return (
            f"{bounds} bound {work.scanned:,} images and left {work.candidates:,}, of which "
            f"the model was run again on {work.verified:,}{rests}{f', and {ran}' if ran else ''} ({source.why})"
        )

    def _ask(self, ask: Callable[[dict[str, Any]], _Answer], kind: Kind = "first") -> _Answer:
        lost: StoreError | None = None
        for _ in range(_LOOKS):
            try:
                source, fresh = self._open(kind)
            except StoreError as error:  # the set is being dropped
                lost = error
                continue
            began = time.perf_counter()
            before = _spent(source)
            how = {"parts": source.parts, "exact": source.exact, "noise": source.noise}
            answer = ask(how)
            if not len(answer.uncovered):
                took = time.perf_counter() - began - (_spent(source) - before)
                self._learn(source, fresh, took, answer.work.verified, kind)
                return answer
            self._opened.clear()
        raise lost or self._lost()

    def _open(self, kind: Kind) -> tuple[Source, bool]:
        """The source, and whether it is new."""
        for other, source in self._opened.items():
            if other == kind or source.exact is None:
                self._opened[other] = self._opened.pop(other)
                return source, False
        self._opened[kind] = opened = Sources(self._stores, self._group, self.keys).open(kind)
        return opened, True

    def _learn(self, source: Source, fresh: bool, seconds: float, verified: int, kind: Kind) -> None:
        """Store the measured times, by which the next source is chosen."""
        calibration = Calibration(self._stores)
        stored, exact = source.stored, source.exact
        took = source.seconds + seconds
        if stored is not None and fresh and source.option.way == "read":  # what was just written is still in memory
            predicted = stored.cost_figures.reckoned(len(self._group.numbers), stored.width, MachineSpeeds())
            calibration.took(self._group, "read", took, predicted)
        if (layer := calibration.layer(self._group)) is not None:
            if stored is not None and exact is not None:
                layer = layer.ran(exact.images, exact.seconds, load=exact.load)
                if kind != "every":
                    layer = layer.bounded(stored.codec, kind, verified, len(self.keys))
            calibration.keep(self._group, layer.asked(len(self.keys)))
        self._note(source, len(self.keys) - source.run - verified, took)

    def _note(self, source: Source, spared: int, took: float = 0.0) -> None:
        """Record that a set was used, and the time it saved: the run of so many images."""
        if source.stored is not None:
            layer = Calibration(self._stores).layer(self._group)
            run = 0.0 if layer is None or (source.exact is not None and not took) else layer.speeds().running(spared)
            usage.record(self._stores, source.stored.id, max(0.0, run - took))

    @property
    def _threads(self) -> int:
        return self._stores.budget.threads

    def _lost(self) -> StoreError:
        return StoreError(
            f"What is stored of the units of {self._group.layer!r} was dropped {_LOOKS} times while it was read: ask "
            "again, or pin it with db.storage.pin(...)."
        )


def _spent(source: Source) -> float:
    """Seconds that the model took so far for images that bounds leave open, with loading."""
    return 0.0 if source.exact is None else source.exact.seconds + (source.exact.load or 0.0)


def _gathered(parts: list[neurons.Part], keys: Keys) -> NDArray[np.float32] | None:
    """The values (n, G) of sorted keys; None where one of them is in no part."""
    covered = np.zeros(len(keys), bool)
    found = np.empty((len(keys), parts[0].units if parts else 0), np.float32)
    for part in parts:
        assert isinstance(part, neurons.Values), "as captured"
        place = np.searchsorted(keys, part.keys)
        matching = np.flatnonzero((place < len(keys)) & (keys[np.minimum(place, len(keys) - 1)] == part.keys))
        found[place[matching]] = part.values[:, matching].T
        covered[place[matching]] = True
    return found if covered.all() else None
