"""What an answer about units costs in seconds: from the model run again, and from what is stored.

The speeds are measured where the questions are asked, see `odin_graph.query.calibration`; here is what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Codec: TypeAlias = Literal["u8", "f16", "f32", "rows"]
"""How values are kept: by unit as codes, halves or floats; or by image, as embeddings are."""

CODECS: Final[tuple[Codec, ...]] = ("u8", "f16", "f32")
"""That can be made for the sake of a question."""
BYTES: Final[dict[Codec, int]] = {"u8": 1, "f16": 2, "f32": 4, "rows": 4}
NEAR: Final = 1.1
"""What costs so little more and takes fewer bytes is better."""
TILE: Final = 1 << 16
"""Values that are decoded together: a column that lies apart costs as many, however few images there are."""

Kind: TypeAlias = Literal["first", "beyond", "every"]
"""What is wanted: the first of an order, which images are beyond a threshold, or the value of each."""

_LEFT: Final[dict[Codec, float]] = {"u8": 40.0, "f16": 20.0}
"""Images that bounds leave to the model, before it was seen how many they are."""


@dataclass(frozen=True, slots=True)
class MachineSpeeds:
    """Of the machine; as it comes, what two cores did. What is read from the cache has names of its own, `warm`."""

    begin: Mapping[str, float] = field(default_factory=lambda: {"": 0.006, " warm": 0.001})
    """Seconds before the first value of a set comes, by codec, where it was seen."""
    value: Mapping[str, float] = field(
        default_factory=lambda: {"u8": 5e-9, "f16": 1e-8, "f32": 1.5e-8, "rows": 2e-9, " warm": 2e-9}
    )
    """Seconds a value that is decoded and looked at, by codec."""
    make: float = 0.15
    """Seconds that storing takes beside running and writing: its node, its lease, how noisy the model is."""
    write: Mapping[str, float] = field(default_factory=lambda: {"u8": 1e-8, "f16": 8e-9, "f32": 8e-9})
    """Seconds a value that is written, by codec."""

    def reading(self, codec: Codec, values: float, *, warm: bool) -> float:
        """Seconds of reading so many values."""
        name, plain = name_of(codec, warm), " warm" if warm else ""
        begin = self.begin.get(name, self.begin[plain])
        return begin + values * self.value.get(name, self.value[plain or codec])


@dataclass(frozen=True, slots=True)
class ModelSpeeds:
    """Of a model, run as far as a layer."""

    image: float
    """Seconds an image of a large batch."""
    call: float = 0.0
    """Seconds that a call takes beside its images: what makes few of them dearer."""
    load: float = 0.0
    """Seconds until it can be run, where it is not loaded."""
    width: int = 1
    """Numbers that the layer says of an image."""
    left: Mapping[str, float] = field(default_factory=dict)
    """Images that bounds left to the model, by codec and kind of question, where it was seen."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a group of units."""

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
    warm: bool = False
    """Whether the cache holds the group's columns."""

    def values(self, units: int, width: int) -> int:
        """Values that are decoded for a group of so many units, of all that the layer has."""
        if self.codec == "rows":
            return self.rows * width
        if self.warm:
            return self.rows * units
        return min(units * -(-self.rows // TILE) * TILE, self.rows * width)


@dataclass(frozen=True, slots=True)
class Option:
    """One way to answer."""

    way: Literal["run", "read", "store"]
    """Run the model, read what is stored (and run the model on what is not), or store what is missing and read it."""
    codec: Codec | None
    """Of what is read; None where only the model is run."""
    once: float
    """Seconds that are spent the first time alone."""
    each: float
    """Seconds of every such question."""
    bytes: int = 0
    """That it adds to what is stored, at most."""

    def cost(self, later: float) -> float:
        """Seconds a question, where so many more are asked."""
        return self.once / (1 + later) + self.each


def options(
    question: Question, held: Sequence[Held], model: ModelSpeeds, machine: MachineSpeeds, *, loaded: bool
) -> list[Option]:
    """Every way to answer a question.

    Args:
        question: What is asked.
        held: What is stored, one a codec at most.
        model: Its speeds.
        machine: Its speeds.
        loaded: Whether the model is.
    """
    load = 0.0 if loaded else model.load
    found = [Option("run", None, load, _run(question.images, model))]
    by_codec = {one.codec: one for one in held}
    for one in held:
        if one.missing < question.images:
            once = load if one.missing or _left(question, one.codec, model) else 0.0
            found.append(Option("read", one.codec, once, _read(question, one, model, machine)))
    for codec in CODECS:
        before = by_codec.get(codec, Held(codec, question.images))
        if before.missing:
            values = before.missing * model.width
            # It loads the model for itself, since it runs as much of it as several layers need.
            once = machine.make + model.load + _run(before.missing, model) + machine.write[codec] * values
            whole = Held(codec, 0, before.rows + before.missing, before.warm)
            found.append(Option("store", codec, once, _read(question, whole, model, machine), BYTES[codec] * values))
    return found


def best(given: Sequence[Option], later: float) -> Option:
    """The one that costs least; of those that cost hardly more the one that takes the fewest bytes."""
    least = min(one.cost(later) for one in given)
    return min((one for one in given if one.cost(later) <= NEAR * least), key=lambda one: (one.bytes, one.cost(later)))


def name_of(codec: Codec, warm: bool) -> str:
    """What the speeds of a codec are kept under."""
    return f"{codec} warm" if warm else codec


def _run(images: float, model: ModelSpeeds) -> float:
    return model.call + model.image * images if images else 0.0


def _read(question: Question, held: Held, model: ModelSpeeds, machine: MachineSpeeds) -> float:
    there = question.images - held.missing
    seconds = machine.reading(held.codec, held.values(question.units, model.width), warm=held.warm)
    left = min(float(there), _left(question, held.codec, model))
    return seconds + _run(left, model) + _run(held.missing, model)


def _left(question: Question, codec: Codec, model: ModelSpeeds) -> float:
    """Images that what is stored leaves to the model."""
    if codec not in _LEFT:
        return 0.0
    if question.kind == "every":
        return question.images
    return model.left.get(f"{codec} {question.kind}", _LEFT[codec])
