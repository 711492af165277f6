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
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

from odin_graph.neurons.costs import Codec, MachineSpeeds, ModelSpeeds, corrected
from odin_graph.query.nodes import UnitGroup
from odin_graph.stores import Stores

PROBE: Final = 64
"""Images that are enough to say how long one takes."""
_MANY: Final = 200_000
"""Values that are enough to say how long one takes."""
_LATER_PRIOR: Final = 1.0
"""What was asked once is asked again: storing costs little more than running does, and saves all of the next run."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Layer:
    """What is known of a layer of a checkpoint, in one view."""

    speeds: ModelSpeeds
    asks: int = 0
    """Questions so far."""
    images: int = 0
    """Of all of them together."""

    @classmethod
    def timed(cls, images: int, seconds: float, width: int) -> Self:
        """Of a model that has run on some images for the first time."""
        return cls(ModelSpeeds(max(seconds, 1e-9) / max(1, images), width=width))

    def later(self, images: int) -> float:
        """How many further questions of so many images are expected: as many as there were, and one at least."""
        return max(_LATER_PRIOR, min(float(self.asks), self.images / max(1, images)))


class Calibration:
    """The speeds of a workspace.

    Args:
        stores: The open workspace.
    """

    def __init__(self, stores: Stores) -> None:
        self._folder = stores.cache / "speeds"

    @property
    def machine(self) -> MachineSpeeds:
        """Of the machine."""
        held = MachineSpeeds(**_known(MachineSpeeds, self._read("machine")))
        return replace(held, write={**MachineSpeeds().write, **held.write})

    def layer(self, group: UnitGroup) -> Layer | None:
        """Of a group's layer; None before its model has run."""
        held = self._read(_name(group))
        said = held.get("speeds")
        speeds = _known(ModelSpeeds, said) if isinstance(said, dict) else {}
        counts = [held.get(name, 0) for name in ("asks", "images")]
        if "image" not in speeds or not all(map(_is_speed, counts)):
            return None
        return Layer(ModelSpeeds(**speeds), int(counts[0]), int(counts[1]))

    def asked(self, group: UnitGroup, images: int) -> None:
        """A question was asked of a layer."""
        if (held := self.layer(group)) is not None:
            self._write(_name(group), replace(held, asks=held.asks + 1, images=held.images + images))

    def ran(self, group: UnitGroup, images: int, seconds: float, *, width: int, load: float | None) -> None:
        """The model ran on images.

        Args:
            group: Of the layer.
            images: How many.
            seconds: How long, loading left out.
            width: Numbers that the layer said of an image.
            load: Seconds that loading took; None where it was loaded.
        """
        if not images or seconds <= 0:
            return
        held = self.layer(group) or Layer.timed(images, seconds, width)
        speeds = held.speeds
        if images >= PROBE:
            image = max((seconds - speeds.call) / images, seconds / images / 4)
            speeds = replace(speeds, image=corrected(speeds.image, image))
        else:
            speeds = replace(speeds, call=corrected(speeds.call, max(0.0, seconds - speeds.image * images)))
        if load is not None:
            speeds = replace(speeds, load=corrected(speeds.load, load))
        self._write(_name(group), replace(held, speeds=replace(speeds, width=width)))

    def left(self, group: UnitGroup, codec: Codec, images: int) -> None:
        """Bounds of a codec left so many images to the model."""
        if (held := self.layer(group)) is not None:
            before = held.speeds.left.get(codec, float(images))
            left = {**held.speeds.left, codec: 0.75 * before + 0.25 * images}
            self._write(_name(group), replace(held, speeds=replace(held.speeds, left=left)))

    def read(self, codec: Codec, values: int, seconds: float, *, warm: bool) -> None:
        """So many values were read and looked at."""
        held = self.machine
        each = "row" if codec == "rows" else "warm" if warm else "cold"
        if values >= _MANY and seconds > held.open:
            seen: dict[str, Any] = {each: corrected(getattr(held, each), (seconds - held.open) / values)}
            held = replace(held, **seen)
        elif values < _MANY:
            held = replace(held, open=corrected(held.open, max(seconds - getattr(held, each) * values, 1e-4)))
        self._write("machine", held)

    def made(self, codec: Codec, values: int, seconds: float) -> None:
        """So many values were stored.

        Args:
            codec: In which.
            values: How many.
            seconds: How long it took, the run left out.
        """
        held = self.machine
        writing = seconds - held.make
        if values * held.write[codec] > held.make and writing > 0:
            held = replace(held, write={**held.write, codec: corrected(held.write[codec], writing / values)})
        else:
            held = replace(held, make=corrected(held.make, max(seconds - held.write[codec] * values, 0.01)))
        self._write("machine", held)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            held = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return held if isinstance(held, dict) else {}

    def _write(self, name: str, said: MachineSpeeds | Layer) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, fresh = tempfile.mkstemp(dir=self._folder, suffix=".new")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(asdict(said), out)
            Path(fresh).replace(self._folder / f"{name}.json")
        except OSError as error:  # a full disk
            _log.info("the speeds of %s are not kept: %s", name, error)


def _known(of: type[MachineSpeeds | ModelSpeeds], held: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of the fields of a form, as far as it makes sense."""
    makes_sense = {one.name: _are_speeds if str(one.type).startswith("dict") else _is_speed for one in fields(of)}
    return {name: value for name, value in held.items() if name in makes_sense and makes_sense[name](value)}


def _is_speed(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _are_speeds(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_speed, value.values()))


def _name(group: UnitGroup) -> str:
    what = json.dumps([group.checkpoint, group.layer, group.view])
    return hashlib.sha256(what.encode()).hexdigest()[:24]
