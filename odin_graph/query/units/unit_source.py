"""Where the activations for an answer come from: stored sets, a run of the model, or a set that is stored for it now.

Every way gives the same answer. A cost model (`odin_graph.neurons.costs`) chooses the fastest, by the speeds of this
machine and by how many such queries there were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import UnitArray
from odin_graph.catalog.activations.reading import reading
from odin_graph.catalog.activations.storage import budget_of, human_size, make_room
from odin_graph.errors import SpaceError, StoreError
from odin_graph.graph.read_only import check_may_write, is_read_only
from odin_graph.neurons import Part, Values
from odin_graph.neurons.costs import Codec, Held, Kind, MachineSpeeds, Option, Question, best, options, storing
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units.calibration import PROBE, Calibration, Layer
from odin_graph.query.units.unit_lists import keeping
from odin_graph.query.units.unit_stored import Stored, stored_for

if TYPE_CHECKING:
    from odin_graph.runtime.passes.rerun import Rerun
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Choose: TypeAlias = Callable[[Sequence[Option], float], Option]

READ_ONLY_MOST: Final = 10_000
"""Images on which the model is run for a user who may not write; more have to be stored by a user who may."""
FEWEST: Final = 64
"""The fewest images that get a segment of their own."""
_WARM: Final = 4
"""Images of the first run of a model, which takes longer than any other."""
_FEW: Final = 16
_LONG: Final = 0.03
"""Seconds of a run that are enough to measure: a call takes little of them."""
_MEMORY_SHARE: Final = 4
"""The part of the memory that activations may take that are computed without being stored."""


@dataclass(frozen=True, eq=False)
class Source:
    """What the engine reads for a group."""

    option: Option
    parts: list[Part]
    exact: Rerun | None
    """The model, for what bounds leave open; None where the parts are the values as captured."""
    noise: NDArray[np.float64] | None
    """How far values of another run may differ from the captured ones (G,)."""
    stored: Stored | None
    run: int
    """Images on which the model was run to open it."""
    seconds: float
    """Seconds that reading the stored values took."""
    why: str
    """The chosen option, and the others."""


class Sources:
    """The ways to answer questions about a group of units over some images.

    Args:
        stores: The open workspace.
        group: Bound to a checkpoint.
        keys: The images, sorted, each once.
    """

    def __init__(self, stores: Stores, group: UnitGroup, keys: Keys) -> None:
        self._stores, self._group, self._keys = stores, group, keys
        self._numbers = np.array(group.numbers, np.int64)
        self.calibration = Calibration(stores)

    def open(self, kind: Kind, *, choose: Choose | None = None) -> Source:
        """The source of an answer, opened.

        Args:
            kind: The kind of query.
            choose: Takes one of some options, where so many further questions are expected; by default `best`.

        Raises:
            ReadOnlyError: Too much would have to be run for it, and nothing may be stored.
            SpaceError: It has to be stored, and there is no room.
        """
        question, given = self.options(kind)
        if not given:
            check_may_write()
        while True:
            taken = (choose or best)(given, question.later)
            why = explained(taken, given, question.later)
            try:
                if taken.way == "store":
                    self._store(taken)
            except SpaceError:
                self.__dict__.pop("_stored", None)  # sets may have been dropped to make room
                given = [option for option in given if option.way != "store"]
                if not given:
                    raise
                continue
            return self._run(taken, why) if taken.codec is None else self._read(taken, taken.codec, why)

    def options(self, kind: Kind) -> tuple[Question, list[Option]]:
        """The question, and every possible option; the model is timed first if its speed is unknown."""
        number = len(self._keys)
        stored_sets = [stored.cost_figures for stored in self._stored.values()]
        whole = [stored for stored in stored_sets if not stored.missing and stored.codec in ("f32", "rows")]
        layer = self.calibration.layer(self._group)
        if layer is None and not whole and number >= _FEW:
            layer = self._timed()
        if layer is None:  # what is stored is as fast as anything, and few images are soon run, whatever the model is
            question = Question(number, len(self._numbers), kind)
            return question, [Option("read", stored.codec, 0.0, 0.0) for stored in whole] or [
                Option("run", None, 0.0, 0.0)
            ]
        question = Question(number, len(self._numbers), kind, layer.later(number))
        return question, [option for option in self._all(question, stored_sets, layer) if self._is_open(option, kind)]

    def forecast(self, images: int) -> str:
        """Describe what would be done for the first images of an order; runs nothing."""
        layer = self.calibration.layer(self._group)
        if layer is None:
            return f"how fast the model is will be measured with the first question, on up to {PROBE} of its images"
        question = Question(images, len(self._numbers), later=layer.later(images))
        covered = {stored.codec: stored.array.coverage() for stored in self._stored.values()}
        stored_sets = [
            replace(stored.cost_figures, missing=max(0, images - len(covered[stored.codec])))
            for stored in self._stored.values()
        ]
        found = self._all(question, stored_sets, layer)
        return explained(best(found, question.later), found, question.later)

    def _all(self, question: Question, stored_sets: Sequence[Held], layer: Layer) -> list[Option]:
        loaded = self._rerun().is_loaded
        return options(question, stored_sets, layer.speeds(), layer.machine(self.calibration.machine), loaded=loaded)

    def _is_open(self, option: Option, kind: Kind) -> bool:
        stored = None if option.codec is None else self._stored.get(option.codec)
        missing = len(self._keys if stored is None else stored.missing)
        if option.way == "store":
            return missing >= FEWEST and not is_read_only()
        if kind == "every" and option.codec in ("u8", "f16"):  # bounds leave all of them to the model
            missing = len(self._keys)
        fits = 4 * missing * len(self._numbers) <= self._stores.budget.memory // _MEMORY_SHARE
        return (fits or missing < FEWEST) and (missing <= READ_ONLY_MOST or not is_read_only())

    def _timed(self) -> Layer:
        """Time the model on a few images, a fast one on more, to tell the cost of a call from that of images."""
        run, seconds = self._rerun(), dict[int, float]()
        for number in (_WARM, _FEW, PROBE):
            sample = self._keys[np.linspace(0, len(self._keys) - 1, min(number, len(self._keys))).astype(np.int64)]
            run(sample)  # the first batch of a size takes longer than the next
            before = run.seconds
            run(sample)
            seconds[len(sample)] = run.seconds - before
            if number != _WARM and seconds[len(sample)] > _LONG:
                break
        many = max(seconds)
        few = max((size for size in seconds if 4 * size <= many), default=many)  # far enough to tell them apart
        image = (seconds[many] - seconds[few]) / (many - few) if many > few else 0.0
        image = max(image, seconds[many] / many / 4, 1e-9)
        call = max(0.0, seconds[few] - few * image)
        layer = Layer.timed(image, call, run.load or 0.0, run.width or 1)
        self.calibration.keep(self._group, layer)
        return layer

    @cached_property
    def _stored(self) -> dict[Codec, Stored]:
        return stored_for(self._stores, self._group, self._keys)

    def _rerun(self, stored: Stored | None = None) -> Rerun:
        from odin_graph.runtime.passes.rerun import Rerun

        group = self._group
        assert group.checkpoint is not None, "bound before"
        if stored is not None and stored.record is not None:
            return Rerun.of(self._stores, stored.record, group.checkpoint, group.layer, self._numbers)
        rerun = Rerun(self._stores, group.checkpoint, group.layer, self._numbers, pooling=group.view)
        rerun.width = None if stored is None else stored.width  # of embeddings, which know no shape
        return rerun

    def _run(self, option: Option, why: str) -> Source:
        parts = self._spot(self._keys, self._rerun())
        return Source(option, parts, None, None, None, len(self._keys), 0.0, why)

    def _spot(self, keys: Keys, run: Rerun) -> list[Part]:
        """Run the model on images now."""
        values = run(keys)
        if (layer := self.calibration.layer(self._group)) is not None:
            self.calibration.keep(self._group, layer.ran(len(keys), run.seconds, load=run.load))
        return [Values(keys, np.ascontiguousarray(values.T))]

    def _read(self, option: Option, codec: Codec, why: str) -> Source:
        stored, began = self._stored.get(codec), time.perf_counter()
        if stored is None:
            raise StoreError(f"What is stored of the units of {self._group.layer!r} has just been dropped: ask again.")
        with reading(self._stores, [stored.id]):
            parts = stored.parts(self._numbers, self._keys)
        took = time.perf_counter() - began
        exact = self._rerun(stored) if codec in ("u8", "f16") else None
        noise = stored.array.noise(self._numbers) if exact is not None and isinstance(stored.array, UnitArray) else None
        if len(stored.missing):
            parts += self._spot(np.sort(stored.missing), self._rerun(stored))
        return Source(option, parts, exact, noise, stored, len(stored.missing), took, why)

    def _store(self, option: Option) -> None:
        """Add what is missing to a set, and learn how long that took."""
        from odin_graph.runtime.passes.materialize import materialize
        from odin_graph.runtime.passes.unit_plan import Want

        check_may_write()
        group = self._group
        codec = option.codec
        if group.checkpoint is None or codec is None or codec == "rows":
            raise AssertionError("what can be stored of a bound group")
        current = self._stored.get(codec)
        missing = len(self._keys if current is None else current.missing)
        spare = [stored.id for stored in self._stored.values()]
        if budget_of(self._stores) is None and not make_room(self._stores, option.bytes, spare=spare):
            raise SpaceError(
                f"A question would store up to {human_size(option.bytes)} of the units of {group.layer!r}, more than "
                "half of what is free on the disk: make room, ask for fewer images, or store it yourself with "
                "layer.materialize(images)."
            )
        is_loaded, began = self._rerun().is_loaded, time.perf_counter()
        want = Want(group.layer, group.view, codec)
        materialize(self._stores, group.checkpoint, [want], self._keys, beside=keeping(self._stores), spare=spare)
        took = time.perf_counter() - began
        if (layer := self.calibration.layer(group)) is not None:
            speeds = replace(layer.speeds(), load=0.0) if is_loaded else layer.speeds()
            self.calibration.took(group, "store", took, storing(missing, codec, speeds, MachineSpeeds()))
        self.__dict__.pop("_stored", None)


def explained(taken: Option, given: Sequence[Option], later: float) -> str:
    """A choice and its reason: the chosen option and its cost, then the others."""
    others = sorted((option for option in given if option != taken), key=lambda option: option.cost(later))
    first = f"to {_way(taken)} takes about {_time(taken.cost(later))} a question"
    rest = ", ".join(f"to {_way(option)} {_time(option.cost(later))}" for option in others)
    return f"{first}; {rest}" if rest else first


def _way(option: Option) -> str:
    return {"run": "run the model", "read": f"read {option.codec}", "store": f"store {option.codec}"}[option.way]


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
