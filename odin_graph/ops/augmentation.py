"""Augmentations: registered operations whose parameters are drawn anew for each image and epoch.

What is drawn is a function of seed, epoch and image, so that it is the same in every worker and after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np

from odin_graph.errors import DataError, UnknownNameError
from odin_graph.ops.op import ImageOp, build_op
from odin_graph.ops.sizes import both, read_size
from odin_graph.registry import Registry
from odin_graph.schema.several import is_several

Shape = tuple[int, ...]


@runtime_checkable
class Augmentation(Protocol):
    """A frozen dataclass whose fields are values that JSON has."""

    def draw(self, generator: np.random.Generator, shape: Shape) -> Sequence[ImageOp]:
        """The operations for one image of shape (h, w, bands), in order; none to leave it as it is."""


AUGMENTATIONS: Registry[type[Augmentation]] = Registry("augmentation", group="odin_graph.augmentations")


@AUGMENTATIONS.register("random-apply")
@dataclass(frozen=True)
class RandomApply:
    """Any registered operation, applied with a probability, with parameters that are drawn.

    ``RandomApply("flip", p=0.5)``, ``RandomApply("rotate", between={"degrees": (-10, 10)})``,
    ``RandomApply("blur", p=0.3, between={"sigma": (0.5, 1.5)})``.

    Args:
        op: The operation's name.
        p: The probability that it is applied.
        parameters: Those that are the same for all.
        between: Those that are drawn evenly from (low, high); whole numbers where both are, both ends included.
        among: Those that are drawn from a list.
    """

    op: str
    p: float = 1.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    between: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    among: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the numbers, and that the operation takes them.

        Raises:
            DataError: A probability, range or list that is none, or a value that the operation refuses.
            UnknownNameError: There is no such operation or parameter.
        """
        if not 0 <= self.p <= 1:
            raise DataError(f"p={self.p!r} is not a probability: give a number from 0 to 1.")
        for name, ends in self.between.items():
            if len(ends) != 2 or not ends[0] <= ends[1]:
                raise DataError(f"{name}={ends!r} is not a range: give (low, high).")
        for name, values in self.among.items():
            if isinstance(values, str) or not len(values):
                raise DataError(f"{name}={values!r} is not a list to draw from: give one or more values.")
        lows = {name: ends[0] for name, ends in self.between.items()}
        highs = {name: ends[1] for name, ends in self.between.items()}
        firsts = {name: values[0] for name, values in self.among.items()}
        for drawn in (lows, highs):
            build_op(self.op, {**self.parameters, **drawn, **firsts})

    def draw(self, generator: np.random.Generator, shape: Shape) -> Sequence[ImageOp]:  # noqa: ARG002 - the protocol's
        """The operation, or nothing."""
        if self.p < 1 and generator.random() >= self.p:
            return ()
        drawn: dict[str, Any] = {}
        for name, (low, high) in self.between.items():
            if isinstance(low, int) and isinstance(high, int):
                drawn[name] = int(generator.integers(low, high + 1))
            else:
                drawn[name] = float(generator.uniform(low, high))
        for name, values in self.among.items():
            drawn[name] = values[int(generator.integers(len(values)))]
        return (build_op(self.op, {**self.parameters, **drawn}),)


@AUGMENTATIONS.register("random-crop")
@dataclass(frozen=True)
class RandomCrop:
    """A box of a fixed size anywhere in the image, padded before by so many pixels on every side.

    Args:
        size: Of the box: (height, width), or one number for both.
        pad: Rows and columns that are added on each side before.
        mode: What they are filled with: see the operation ``pad``.
    """

    size: int | tuple[int, int]
    pad: int = 0
    mode: str = "constant"

    def draw(self, generator: np.random.Generator, shape: Shape) -> Sequence[ImageOp]:
        """Pad, if asked to, and crop.

        Raises:
            DataError: The image is smaller than the box.
        """
        height, width = both(read_size("random-crop", self.size))
        down, across = (side + 2 * self.pad - wanted for side, wanted in zip(shape, (height, width), strict=False))
        if down < 0 or across < 0:
            raise DataError(
                f"An image of {shape[0]} x {shape[1]} has no box of {height} x {width} with pad={self.pad}: "
                "crop less, pad more, or resize first."
            )
        top, left = int(generator.integers(down + 1)), int(generator.integers(across + 1))
        crop = build_op("crop", {"box": (left, top, left + width, top + height)})
        if not self.pad:
            return (crop,)
        sides = dict.fromkeys(("left", "top", "right", "bottom"), self.pad)
        return (build_op("pad", {**sides, "mode": self.mode}), crop)


@AUGMENTATIONS.register("random-resized-crop")
@dataclass(frozen=True)
class RandomResizedCrop:
    """A box of random area and aspect, resized: the usual augmentation of photographs (Szegedy et al. 2015, section 6).

    Args:
        size: (height, width) of the result, or one number for both.
        scale: The share of the image's area, at least and at most.
        ratio: Width over height, at least and at most; drawn evenly in its logarithm.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def draw(self, generator: np.random.Generator, shape: Shape) -> Sequence[ImageOp]:
        """Crop and resize; the whole image where ten boxes in a row did not fit."""
        height, width = shape[:2]
        resize = build_op("resize", {"size": both(self.size)})
        for _ in range(10):
            area = height * width * generator.uniform(*self.scale)
            ratio = float(np.exp(generator.uniform(*np.log(self.ratio))))
            down, across = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
            if 0 < down <= height and 0 < across <= width:
                top, left = int(generator.integers(height - down + 1)), int(generator.integers(width - across + 1))
                return (build_op("crop", {"box": (left, top, left + across, top + down)}), resize)
        return (resize,)


def read_augmentations(steps: Iterable[Any]) -> tuple[Augmentation, ...]:
    """What a user wrote: augmentations, or their JSON forms.

    Raises:
        DataError: A step is neither.
        UnknownNameError: There is no such augmentation or parameter.
    """
    if isinstance(steps, Mapping) or not is_several(steps):
        raise DataError(f"augment= takes a list: write [{steps!r:.80}].")
    return tuple(_read(step) for step in steps)


def augmentation_json(augmentation: Augmentation) -> dict[str, Any]:
    """Its registered name and its parameters, as JSON has them.

    Raises:
        DataError: Its class is not registered, so that nobody could build it again.
    """
    for name in AUGMENTATIONS:
        if AUGMENTATIONS.get(name) is type(augmentation):
            return {"augmentation": name, "parameters": _plain(asdict(augmentation))}  # type: ignore[call-overload]
    raise DataError(
        f"{type(augmentation).__qualname__} is not registered, so it cannot be recorded: decorate the class with "
        f'@AUGMENTATIONS.register("its-name"); there is: {", ".join(AUGMENTATIONS)}.'
    )


def _read(step: Any) -> Augmentation:
    if isinstance(step, Mapping) and set(step) == {"augmentation", "parameters"}:
        kind: Any = AUGMENTATIONS.get(step["augmentation"])
        known = [item.name for item in fields(kind)]
        for name in step["parameters"]:
            if name not in known:
                raise UnknownNameError.of(f"parameter of the augmentation {step['augmentation']!r}:", name, known)
        return kind(**step["parameters"])  # type: ignore[no-any-return]
    if isinstance(step, Augmentation) and not isinstance(step, type):
        augmentation_json(step)
        return step
    raise DataError(
        f'{step!r:.80} is not an augmentation: give one of odin_graph.ops, as in RandomApply("flip", p=0.5), or its '
        "JSON form."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
