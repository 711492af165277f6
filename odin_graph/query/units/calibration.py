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
from odin_graph.neurons.costs import Codec, Kind, MachineSpeeds, ModelSpeeds
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
    """Measured figures: the latest few of each name."""

    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def get(self, name: str) -> float:
        """The expected value; 0 if nothing was measured."""
        return median(self.of[name]) if name in self.of else 0.0

    def ratio(self, name: str, before: float = 1.0) -> float:
        """The expected ratio of measured to predicted seconds.

        The earlier estimate counts as two measurements: otherwise a way that was slow once would never be taken again,
        and the ratio never corrected.
        """
        return median((before, before, *self.of.get(name, ())))

    def and_(self, name: str, value: float) -> Self:
        """These figures with another value."""
        return replace(self, of={**self.of, name: (*self.of.get(name, ()), value)[-_RECENT:]})

    def took(self, name: str, seconds: float, predicted: float) -> Self:
        """These figures after something took so many seconds that was predicted to take others."""
        return self.and_(name, min(max(seconds / max(predicted, 1e-6), 1 / _MOST), _MOST))


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known about a layer of a checkpoint, in one view."""

    seen: Seen
    """Of its model, of what bounds left to it, and of storing and reading, which may differ from other layers."""
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

    def speeds(self) -> ModelSpeeds:
        """The speeds for the cost model."""
        image, call, load = (self.seen.get(name) for name in ("image", "call", "load"))
        left = {name.removeprefix("left "): self.seen.get(name) for name in self.seen.of if name.startswith("left ")}
        ratio = self.seen.ratio("run")
        return ModelSpeeds(ratio * image, ratio * call, load, self.width, left)

    def machine(self, seen: Seen) -> MachineSpeeds:
        """The speeds of a machine for this layer."""
        reading, storing = (self.seen.ratio(name, seen.ratio(name)) for name in ("read", "store"))
        return MachineSpeeds(reading=reading, storing=storing)

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
            seen = seen.took("run", seconds, self.seen.get("call") + self.seen.get("image") * images)
        return replace(self, seen=seen)

    def bounded(self, codec: Codec, kind: Kind, images: int, of: int) -> Self:
        """The layer after bounds left so many of some images to its model; nearly all of few images say little."""
        name = f"left {codec} {kind}"
        if 10 * images > 9 * of and images < self.seen.get(name):
            return self
        return replace(self, seen=self.seen.and_(name, float(images)))


class Calibration:
    """What is known about a workspace's models on this machine.

    Args:
        stores: The open workspace.
    """

    def __init__(self, stores: Stores) -> None:
        self._folder = stores.cache / "speeds"

    @property
    def machine(self) -> Seen:
        """The machine's figures."""
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

    def took(self, group: UnitGroup, name: str, seconds: float, predicted: float) -> None:
        """Store that reading or storing took so many seconds that was predicted to take others."""
        self.keep_machine(self.machine.took(name, seconds, predicted))
        if (layer := self.layer(group)) is not None:
            self.keep(group, replace(layer, seen=layer.seen.took(name, seconds, predicted)))

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


def _makes_sense(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _name(group: UnitGroup) -> str:
    what = json.dumps([group.checkpoint, group.layer, group.view])
    return hashlib.sha256(what.encode()).hexdigest()[:24]
