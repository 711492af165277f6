"""How fast this machine and its models are, measured by the questions themselves, and how much was asked.

Kept in the workspace's cache, a small file for the machine and one for each layer that was asked. Never the truth: a
file that is lost or broken costs a worse choice, not an answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from odin_graph.neurons.costs import TILE, Codec, Held, Kind, MachineSpeeds, ModelSpeeds, name_of
from odin_graph.query.nodes import UnitGroup
from odin_graph.stores import Stores

PROBE: Final = 128
"""Images that are enough to say how long one takes."""
_TILES: Final = 3 * TILE
"""Values that are enough to say how long one takes."""
_RECENT: Final = 5
"""Times of which the median counts: one that something else on the machine made long does not."""
_LATER_PRIOR: Final = 1.0
"""What was asked once is asked again: storing costs little more than running does, and saves all of the next run."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds, and other figures, as they were seen: the latest few of each name."""

    of: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def get(self, name: str, default: float = 0.0) -> float:
        """What is to be expected."""
        return median(self.of[name]) if name in self.of else default

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
    """Of its model, and of reading what is stored of it, which may be unlike the machine's other sets."""
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

    @property
    def speeds(self) -> ModelSpeeds:
        """As costs are reckoned."""
        image, call, load = (self.seen.get(name) for name in ("image", "call", "load"))
        return ModelSpeeds(image, call, load, self.width, self.seen.all("left"))

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
        if images >= PROBE:
            seen = seen.and_("image", max((seconds - seen.get("call")) / images, seconds / images / 4))
        elif images:
            seen = seen.and_("call", max(0.0, seconds - seen.get("image") * images))
        return replace(self, seen=seen)

    def left(self, codec: Codec, kind: Kind, images: int, of: int) -> Self:
        """After bounds of a codec left so many of some images to the model; all of few says little."""
        name = f"left {codec} {kind}"
        if 10 * images > 9 * of and images < self.seen.get(name):
            return self
        return replace(self, seen=self.seen.and_(name, float(images)))


def after_reading(seen: Seen, held: Held, values: int, seconds: float) -> Seen:
    """What is known of a machine after so many values of a set were decoded and looked at."""
    name, speeds = name_of(held.codec, held.warm), machine_of(seen)
    each = (speeds.reading(held.codec, values, warm=held.warm) - speeds.reading(held.codec, 0, warm=held.warm)) / max(
        1, values
    )
    if values < _TILES:
        return seen.and_(f"begin {name}", max(seconds - each * values, 1e-4))
    begin = speeds.reading(held.codec, 0, warm=held.warm)
    return seen.and_(f"value {name}", max((seconds - begin) / values, each / 4))


def after_storing(seen: Seen, codec: Codec, values: int, seconds: float) -> Seen:
    """What is known of a machine after so many values were stored, the run left out of the seconds."""
    speeds = machine_of(seen)
    each = speeds.write[codec]
    if each * values > speeds.make:
        return seen.and_(f"write {codec}", max((seconds - speeds.make) / values, each / 4))
    return seen.and_("make", max(seconds - each * values, 0.01))


def machine_of(seen: Seen) -> MachineSpeeds:
    """The speeds of a machine, those of another where nothing was seen yet."""
    plain = MachineSpeeds()
    begin, value, write = ({**getattr(plain, name), **seen.all(name)} for name in ("begin", "value", "write"))
    return MachineSpeeds(begin, value, seen.get("make", plain.make), write)


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
        return _seen(self._read("machine"))

    def layer(self, group: UnitGroup) -> Layer | None:
        """Of a group's layer; None before its model has run."""
        held = self._read(_name(group))
        said, counts = held.get("seen"), [held.get(name, 0) for name in ("width", "asks", "images")]
        seen = _seen(said) if isinstance(said, dict) else Seen()
        if "image" not in seen.of or not all(map(_makes_sense, counts)):
            return None
        width, asks, images = map(int, counts)
        return Layer(seen, width, asks, images)

    def keep(self, group: UnitGroup, layer: Layer) -> None:
        """What is known of a layer now."""
        held = {"seen": layer.seen.of, "width": layer.width, "asks": layer.asks, "images": layer.images}
        self._write(_name(group), held)

    def keep_machine(self, seen: Seen) -> None:
        """What is known of the machine now."""
        self._write("machine", seen.of)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            held = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return held if isinstance(held, dict) else {}

    def _write(self, name: str, said: Mapping[str, object]) -> None:
        fresh: str | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(dir=self._folder, suffix=".new")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(said, out)
            Path(fresh).replace(self._folder / f"{name}.json")
        except OSError as error:  # a full disk
            _log.info("the speeds of %s are not kept: %s", name, error)
            if fresh is not None:
                Path(fresh).unlink(missing_ok=True)


def _seen(held: Mapping[str, Any]) -> Seen:
    """What a file says, as far as it makes sense."""
    return Seen(
        {
            name: tuple(values)
            for name, values in held.items()
            if isinstance(values, list) and values and all(map(_makes_sense, values))
        }
    )


def _makes_sense(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _name(group: UnitGroup) -> str:
    what = json.dumps([group.checkpoint, group.layer, group.view])
    return hashlib.sha256(what.encode()).hexdigest()[:24]
