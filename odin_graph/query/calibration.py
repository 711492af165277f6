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

PROBE: Final = 128
"""Images that are enough to say how long one takes."""
_MANY: Final = 200_000
"""Values that are enough to say how long one takes."""
_HARDLY: Final = 0.05
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

    def later(self, images: int) -> float:
        """How many further questions of so many images are expected: as many as there were, and one at least."""
        return max(_LATER_PRIOR, min(float(self.asks), self.images / max(1, images)))

    def asked(self, images: int) -> Self:
        """After a question."""
        return replace(self, asks=self.asks + 1, images=self.images + images)

    def ran(self, images: int, seconds: float, *, load: float | None) -> Self:
        """After the model ran on so many images in so many seconds, loading left out.

        Args:
            images: How many.
            seconds: How long.
            load: Seconds that loading took; None where it was loaded.
        """
        speeds = self.speeds
        if load is not None:
            speeds = replace(speeds, load=corrected(speeds.load, load))
        if images >= PROBE:
            image = max((seconds - speeds.call) / images, seconds / images / 4)
            speeds = replace(speeds, image=corrected(speeds.image, image))
        elif images:
            speeds = replace(speeds, call=corrected(speeds.call, max(0.0, seconds - speeds.image * images)))
        return replace(self, speeds=speeds)

    def left(self, codec: Codec, images: int) -> Self:
        """After bounds of a codec left so many images to the model."""
        before = self.speeds.left.get(codec, float(images))
        left = {**self.speeds.left, codec: 0.75 * before + 0.25 * images}
        return replace(self, speeds=replace(self.speeds, left=left))


def after_reading(held: MachineSpeeds, codec: Codec, values: int, seconds: float, *, warm: bool) -> MachineSpeeds:
    """The speeds of a machine after so many values were read and looked at."""
    each = "row" if codec == "rows" else "warm" if warm else "cold"
    before: float = getattr(held, each)
    if values < _MANY:
        return replace(held, open=corrected(held.open, max(seconds - before * values, 1e-4)))
    seen: dict[str, Any] = {each: corrected(before, max((seconds - held.open) / values, before / 4))}
    return replace(held, **seen)


def after_storing(held: MachineSpeeds, codec: Codec, values: int, seconds: float) -> MachineSpeeds:
    """The speeds of a machine after so many values were stored, the run left out of the seconds."""
    before = held.write[codec]
    if before * values > held.make:
        seen = corrected(before, max((seconds - held.make) / values, before / 4))
        return replace(held, write={**held.write, codec: seen})
    return replace(held, make=corrected(held.make, max(seconds - before * values, 0.01)))


class Calibration:
    """What is known of a workspace's models on this machine.

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

    def keep(self, group: UnitGroup, layer: Layer) -> None:
        """What is known of a layer now."""
        self._write(_name(group), layer)

    def keep_machine(self, speeds: MachineSpeeds) -> None:
        """What is known of the machine now; what hardly changed is not written."""
        before, now = (_flat(one) for one in (self.machine, speeds))
        if any(abs(value - before[name]) > _HARDLY * before[name] for name, value in now.items()):
            self._write("machine", speeds)

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


def _flat(speeds: MachineSpeeds) -> dict[str, float]:
    held = asdict(speeds)
    return {**held.pop("write"), **held}


def _is_speed(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _are_speeds(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_speed, value.values()))


def _name(group: UnitGroup) -> str:
    what = json.dumps([group.checkpoint, group.layer, group.view])
    return hashlib.sha256(what.encode()).hexdigest()[:24]
