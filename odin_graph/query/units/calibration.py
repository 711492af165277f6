"""How fast this machine and its models are, measured by the questions themselves, and how much was asked.

Kept in the workspace's cache, a small file for the machine and one for each layer that was asked. Never the truth: a
file that is lost or broken costs a worse choice, not an answer.
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
"""Images that are enough to say how long one takes."""
_RECENT: Final = 5
"""Times of which the median counts, beside what was thought before: one that something else made long does not."""
_MOST: Final = 8.0
"""By which something is thought to be slower or faster than it was reckoned: what is beyond waited for something."""
_LATER_PRIOR: Final = 1.0
"""What was asked once is asked again: storing costs little more than running does, and saves all of the next run."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds, and other figures, as they were seen: the latest few of each name."""

    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def get(self, name: str) -> float:
        """What is to be expected; 0 of what was never seen."""
        return median(self.of[name]) if name in self.of else 0.0

    def all(self, what: str) -> dict[str, float]:
        """Of all names that begin with a word: by the rest of the name."""
        return {name.removeprefix(f"{what} "): self.get(name) for name in self.of if name.startswith(f"{what} ")}

    def or_(self, other: Seen) -> Seen:
        """What another one saw, where it did, else what this one did."""
        return Seen({**self.of, **other.of})

    def and_(self, name: str, value: float) -> Self:
        """With one more."""
        return replace(self, of={**self.of, name: (*self.of.get(name, ()), value)[-_RECENT:]})


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of a layer of a checkpoint, in one view."""

    seen: Seen
    """Of its model, and of storing and reading it, which may be unlike the machine's other sets."""
    width: int
    asks: int = 0
    """Questions so far."""
    images: int = 0
    """Of all of them together."""

    @classmethod
    def timed(cls, image: float, call: float, load: float, width: int) -> Self:
        """After the model ran for the first time."""
        seen = Seen({"image": (image,), "call": (call,)})
        return cls(seen.and_("load", load) if load else seen, width)

    def speeds(self, machine: Seen) -> ModelSpeeds:
        """As costs are reckoned, on a machine; what was not seen of this layer is as it was of others."""
        image, call, load = (self.seen.get(name) for name in ("image", "call", "load"))
        return ModelSpeeds(image, call, load, self.width, machine.or_(self.seen).all("left"))

    def running(self, images: int) -> float:
        """Seconds of running the model on images, as far as is known."""
        return machine_of(Seen(), self.seen).seen("run", self.speeds(Seen()).running(images))

    def later(self, images: int) -> float:
        """How many further questions of so many images are expected: as many as there were, and one at least."""
        return max(_LATER_PRIOR, min(float(self.asks), self.images / max(1, images)))

    def asked(self, images: int) -> Self:
        """After a question."""
        return replace(self, asks=self.asks + 1, images=self.images + images)

    def ran(self, images: int, seconds: float, *, load: float | None) -> Self:
        """After the model ran on images.

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
    """What is known after something took so many seconds, and another time was reckoned."""
    return seen.and_(name_of(what, reckoned), min(max(seconds / max(reckoned, 1e-6), 1 / _MOST), _MOST))


def after_bounds(seen: Seen, codec: Codec, kind: Kind, images: int, of: int) -> Seen:
    """What is known after bounds of a codec left so many of some images to the model; all of few says little."""
    name = f"left {codec} {kind}"
    return seen if 10 * images > 9 * of and images < seen.get(name) else seen.and_(name, float(images))


def machine_of(seen: Seen, layer: Seen | None = None) -> MachineSpeeds:
    """The speeds of a machine, and of a layer where they are told apart.

    What was thought before counts as seen twice: a way that was slow a single time would not be taken again, and nobody
    would know better.
    """
    ratios: dict[str, float] = {}
    for held in (seen, layer or Seen()):
        for name, values in held.of.items():
            if name.startswith(("read ", "store ", "run ")) and _is_number(name.rpartition(" ")[2]):
                before = ratios.get(name, 1.0)
                ratios[name] = median((before, before, *values))
    return MachineSpeeds(ratios=ratios)


class Calibration:
    """What is known of a workspace's models on this machine.

    Args:
        stores: The open workspace.
    """

    def __init__(self, stores: Stores) -> None:
        self._folder = stores.cache / "speeds"

    @property
    def machine(self) -> Seen:
        """Of the machine, see `machine_of`."""
        return _seen(read(self._file("machine")))

    def layer(self, group: UnitGroup) -> Layer | None:
        """Of a group's layer; None before its model has run."""
        held = read(self._file(_name(group)))
        said, counts = held.get("seen"), [held.get(name, 0) for name in ("width", "asks", "images")]
        seen = _seen(said) if isinstance(said, Mapping) else Seen()
        if "image" not in seen.of or not all(map(_makes_sense, counts)):
            return None
        width, asks, images = map(int, counts)
        return Layer(seen, width, asks, images)

    def keep(self, group: UnitGroup, layer: Layer) -> None:
        """What is known of a layer now."""
        held = {"seen": layer.seen.of, "width": layer.width, "asks": layer.asks, "images": layer.images}
        change(self._file(_name(group)), lambda _: held)

    def keep_machine(self, seen: Seen) -> None:
        """What is known of the machine now."""
        change(self._file("machine"), lambda _: seen.of)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _seen(held: Mapping[str, Any]) -> Seen:
    """What a file says, as far as it makes sense."""
    return Seen(
        {
            name: tuple(values)
            for name, values in held.items()
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
