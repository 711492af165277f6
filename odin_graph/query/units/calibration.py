"""How fast this machine and its models are, measured in queries, and how many queries there were.

Kept in the workspace's cache, in a small file for the machine and one for each layer in a query. Only a cache: a lost
or broken file costs a worse choice, not an answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from odin_graph.facts import change, read
from odin_graph.neurons.costs import Codec, Kind, MachineSpeeds, ModelSpeeds, name_of
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.stores import Stores

PROBE: Final = 128
"""Images that are enough to measure the time of one."""
_RECENT: Final = 5
"""Times whose median counts, beside the earlier estimate, so that a single slow run does not change it."""
_MOST: Final = 8.0
"""The largest factor between a measured and a predicted time: anything beyond waited for something else."""
_LATER_PRIOR: Final = 1.0
"""Further queries expected at least: storing costs little more than running does, and saves all of the next run."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Measured seconds and other figures: the latest few of each name."""

    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def get(self, name: str) -> float:
        """The expected value; 0 if nothing was measured."""
        return median(self.of[name]) if name in self.of else 0.0

    def all(self, what: str) -> dict[str, float]:
        """The expected values of all names that begin with a word, by the rest of the name."""
        return {name.removeprefix(f"{what} "): self.get(name) for name in self.of if name.startswith(f"{what} ")}

    def or_(self, other: Seen) -> Seen:
        """These figures, replaced by another's where it has some."""
        return Seen({**self.of, **other.of})

    def and_(self, name: str, value: float) -> Self:
        """These figures with another value."""
        return replace(self, of={**self.of, name: (*self.of.get(name, ()), value)[-_RECENT:]})


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known about a layer of a checkpoint, in one view."""

    seen: Seen
    """Of its model, and of storing and reading it, which may differ from the machine's other sets."""
    width: int
    asks: int = 0
    """Queries so far."""
    images: int = 0
    """Images of all these queries together."""

    @classmethod
    def timed(cls, image: float, call: float, load: float, width: int) -> Self:
        """A layer whose model ran for the first time."""
        seen = Seen({"image": (image,), "call": (call,)})
        return cls(seen.and_("load", load) if load else seen, width)

    def speeds(self, machine: Seen) -> ModelSpeeds:
        """The speeds for the cost model, on a machine; what was not measured for this layer comes from others."""
        image, call, load = (self.seen.get(name) for name in ("image", "call", "load"))
        return ModelSpeeds(image, call, load, self.width, machine.or_(self.seen).all("left"))

    def running(self, images: int) -> float:
        """Predicted seconds of running the model on images."""
        return machine_of(Seen(), self.seen).seen("run", self.speeds(Seen()).running(images))

    def later(self, images: int) -> float:
        """The expected number of further queries of so many images: as many as before, and at least one."""
        return max(_LATER_PRIOR, min(float(self.asks), self.images / max(1, images)))

    def asked(self, images: int) -> Self:
        """The layer after a query."""
        return replace(self, asks=self.asks + 1, images=self.images + images)

    def ran(self, images: int, seconds: float, *, load: float | None) -> Self:
        """The layer after its model ran on images.

        Args:
            images: How many.
            seconds: How long, loading left out.
            load: Seconds that loading took; None where it was loaded.
        """
        seen = self.seen if load is None else self.seen.and_("load", load)
        if images:
            seen = ratio_of(seen, "run", self.speeds(Seen()).running(images), seconds)
        return replace(self, seen=seen)


def ratio_of(seen: Seen, what: str, reckoned: float, seconds: float) -> Seen:
    """The figures after something took so many seconds that was predicted to take ``reckoned``."""
    return seen.and_(name_of(what, reckoned), min(max(seconds / max(reckoned, 1e-6), 1 / _MOST), _MOST))


def after_bounds(seen: Seen, codec: Codec, kind: Kind, images: int, of: int) -> Seen:
    """The figures after bounds left so many of some images to the model; nearly all of few images say little."""
    name = f"left {codec} {kind}"
    return seen if 10 * images > 9 * of and images < seen.get(name) else seen.and_(name, float(images))


def machine_of(seen: Seen, layer: Seen | None = None) -> MachineSpeeds:
    """The speeds of a machine, and of a layer if its figures are given.

    The earlier estimate counts as two measurements: otherwise a way that was slow once would never be taken again, and
    the estimate never corrected.
    """
    ratios: dict[str, float] = {}
    for figures in (seen, layer or Seen()):
        for name, values in figures.of.items():
            if name.startswith(("read ", "store ", "run ")) and _is_number(name.rpartition(" ")[2]):
                previous = ratios.get(name, 1.0)
                ratios[name] = median((previous, previous, *values))
    return MachineSpeeds(ratios=ratios)


class Calibration:
    """What is known about a workspace's models on this machine.

    Args:
        stores: The open workspace.
    """

    def __init__(self, stores: Stores) -> None:
        self._folder = stores.cache / "speeds"

    @property
    def machine(self) -> Seen:
        """The machine's figures, see `machine_of`."""
        return _seen(read(self._file("machine")))

    def layer(self, group: UnitGroup) -> Layer | None:
        """The figures of a group's layer; None before its model has run."""
        stored = read(self._file(_name(group)))
        stored_seen, counts = stored.get("seen"), [stored.get(name, 0) for name in ("width", "asks", "images")]
        seen = _seen(stored_seen) if isinstance(stored_seen, Mapping) else Seen()
        if "image" not in seen.of or not all(map(_makes_sense, counts)):
            return None
        width, asks, images = map(int, counts)
        return Layer(seen, width, asks, images)

    def keep(self, group: UnitGroup, layer: Layer) -> None:
        """Store what is known about a layer."""
        content = {"seen": layer.seen.of, "width": layer.width, "asks": layer.asks, "images": layer.images}
        change(self._file(_name(group)), lambda _: content)

    def keep_machine(self, seen: Seen) -> None:
        """Store what is known about the machine."""
        change(self._file("machine"), lambda _: seen.of)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _seen(content: Mapping[str, Any]) -> Seen:
    """The figures in a file, as far as they are valid."""
    return Seen(
        {
            name: tuple(values)
            for name, values in content.items()
            if isinstance(values, list | tuple) and values and all(map(_makes_sense, values))
        }
    )


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _makes_sense(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _name(group: UnitGroup) -> str:
    what = json.dumps([group.checkpoint, group.layer, group.view])
    return hashlib.sha256(what.encode()).hexdigest()[:24]
