"""What an answer about units costs in seconds: from the model run again, and from what is stored.

The speeds are measured where the questions are asked, see `odin_graph.query.units.calibration`; here is what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

Codec: TypeAlias = Literal["u8", "f16", "f32", "rows"]
"""How values are kept: by unit as codes, halves or floats; or by image, as embeddings are."""

BYTES: Final[dict[Codec, int]] = {"u8": 1, "f16": 2, "f32": 4, "rows": 4}
TILE: Final = 1 << 16
"""Values that are decoded together: of one unit, or of some that follow each other where there are few images."""
_TILE_UNITS: Final = 64
"""Units of a tile at most."""

Kind: TypeAlias = Literal["first", "beyond", "every"]
"""What is wanted: the first of an order, which images are beyond a threshold, or the value of each."""

_LEFT: Final[dict[Codec, float]] = {"u8": 40.0, "f16": 20.0}
"""Images that bounds leave to the model, before it was seen how many they are."""


@dataclass(frozen=True, slots=True)
class MachineSpeeds:
    """Speeds of the machine; the defaults were measured on two cores."""

    begin: Mapping[str, float] = field(
        default_factory=lambda: {"u8": 0.011, "f16": 0.011, "f32": 0.008, "rows": 0.006},
    )
    """Seconds until a segment is opened, by codec."""
    warm: Mapping[str, float] = field(
        default_factory=lambda: {"u8": 0.0025, "f16": 0.0025, "f32": 0.0005, "rows": 0.006},
    )
    """The same, where the cache holds what is read."""
    decode: Mapping[str, float] = field(
        default_factory=lambda: {"u8": 2.5e-9, "f16": 6e-9, "f32": 7.5e-9, "rows": 2e-9},
    )
    """Seconds a value that is decoded, by codec."""
    look: Mapping[str, float] = field(default_factory=lambda: {"u8": 1e-9, "f16": 1e-8, "f32": 4e-9, "rows": 4e-9})
    """Seconds a value of the group that is looked at, by codec."""
    make: float = 0.15
    """Seconds that storing takes beside running and writing: its node, its lease, how noisy the model is."""
    write: Mapping[str, float] = field(default_factory=lambda: {"u8": 1e-8, "f16": 8e-9, "f32": 8e-9})
    """Seconds a value that is written, by codec."""
    reading: float = 1.0
    """Measured seconds of reading, as a multiple of the predicted ones."""
    storing: float = 1.0
    """The same of storing."""


@dataclass(frozen=True, slots=True)
class ModelSpeeds:
    """Speeds of a model that is run as far as a layer."""

    image: float
    """Seconds an image of a large batch."""
    call: float = 0.0
    """Seconds that a call takes beside its images: what makes few of them dearer."""
    load: float = 0.0
    """Seconds until it can be run, where it is not loaded."""
    width: int = 1
    """Numbers that the layer gives for an image."""
    left: Mapping[str, float] = field(default_factory=dict)
    """Images that bounds left to the model, by codec and kind of question, where it was seen."""

    def running(self, images: float) -> float:
        """Seconds of running images."""
        return self.call + self.image * images if images else 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a group of units."""

    images: int
    units: int
    kind: Kind = "first"
    later: float = 1.0
    """How many more such questions are expected."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is stored of a layer, for the images of a question."""

    codec: Codec
    missing: int
    """Images that it lacks."""
    rows: int = 0
    """Images of the segments that are read for it: columns are read whole."""
    segments: int = 0
    """The number of these segments."""
    cold: int | None = None
    """Units of the group whose columns the cache lacks; None for all of them."""

    def reckoned(self, units: int, width: int, machine: MachineSpeeds) -> float:
        """Seconds of reading a group of so many units, of all that the layer has."""
        if self.codec == "rows":
            decoded = float(self.rows * width)
        else:
            decoded = _decoded(units if self.cold is None else self.cold, width, self.rows, self.segments)
        begin = (machine.warm if self.cold == 0 else machine.begin)[self.codec]
        looked = self.rows * units * machine.look[self.codec]
        return machine.reading * (self.segments * begin + decoded * machine.decode[self.codec] + looked)


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer."""

    way: Literal["run", "read", "store"]
    """Run the model, read what is stored (and run the model on what is not), or store what is missing and read it."""
    codec: Codec | None
    """Codec of what is read; None where only the model is run."""
    once: float
    """Seconds that are spent the first time alone."""
    each: float
    """Seconds of every such question."""
    bytes: int = 0
    """Bytes that it adds to the store, at most."""

    def cost(self, later: float) -> float:
        """Seconds a question, where so many more are asked."""
        return self.once / (1 + later) + self.each


def options(
    question: Question, stored: Sequence[Held], model: ModelSpeeds, machine: MachineSpeeds, *, loaded: bool
) -> list[Option]:
    """Every way to answer a question.

    Args:
        question: What is asked.
        stored: What the store has of the layer, one a codec at most.
        model: Its speeds.
        machine: Its speeds.
        loaded: Whether the model is.
    """
    load = 0.0 if loaded else model.load
    found = [Option("run", None, load, model.running(question.images))]
    for item in stored:
        if item.missing < question.images:
            once = load if item.missing or _left(question, item.codec, model) else 0.0
            found.append(Option("read", item.codec, once, _read(question, item, model, machine)))
    values = [] if any(item.codec == "f32" for item in stored) else [Held("f32", question.images)]
    for before in [*stored, *values]:
        if before.missing and before.codec != "rows":
            once = storing(before.missing, before.codec, replace(model, load=load), machine)
            whole = Held(before.codec, 0, before.rows + before.missing, before.segments + 1)
            each = _read(question, whole, model, machine)
            found.append(Option("store", before.codec, once, each, BYTES[before.codec] * before.missing * model.width))
    return found


def best(given: Sequence[Option], later: float) -> Option:
    """The option that costs least."""
    return min(given, key=lambda option: option.cost(later))


def storing(images: int, codec: Codec, model: ModelSpeeds, machine: MachineSpeeds) -> float:
    """Seconds of loading a model and storing a layer of images."""
    written = machine.write[codec] * images * model.width
    return machine.storing * (model.load + machine.make + model.running(images) + written)


def _decoded(units: int, width: int, rows: int, segments: int) -> float:
    """Values of the tiles that hold some units of a layer, if these lie anywhere in it."""
    if not rows or not segments:
        return 0.0
    together = max(1, min(_TILE_UNITS, width, TILE * segments // rows))
    tiles = max(1, width // together)
    return tiles * (1 - (1 - 1 / tiles) ** units) * together * rows


def _read(question: Question, stored: Held, model: ModelSpeeds, machine: MachineSpeeds) -> float:
    present = question.images - stored.missing
    left = min(float(present), _left(question, stored.codec, model))
    reading = stored.reckoned(question.units, model.width, machine)
    return reading + model.running(left) + model.running(stored.missing)


def _left(question: Question, codec: Codec, model: ModelSpeeds) -> float:
    """Images whose values the stored ones do not decide, so that the model is run on them."""
    if codec not in _LEFT:
        return 0.0
    if question.kind == "every":
        return question.images
    return model.left.get(f"{codec} {question.kind}", _LEFT[codec])
