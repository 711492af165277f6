"""What a model takes as one input: an image, a stack of slices or frames, or several images of a group."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

from odin_graph.arguments import whole
from odin_graph.checked import check_fields
from odin_graph.errors import DataError

Few = Literal["raise", "skip", "pad"]
Many = Literal["raise", "skip", "first", "spread"]
Layout = Literal["chw", "cdhw", "dhw", "nchw"]
LabelRule = Literal["agree", "first", "max"]
Value = str | int | float | bool

LAYOUTS: Final = {
    "chw": "(bands, height, width)",
    "cdhw": "(bands, depth, height, width)",
    "dhw": "(depth, height, width)",
    "nchw": "(images, bands, height, width)",
}
"""The axes of one input, in words."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """What one input of a model is. It is part of the model: ``db.models.add(..., input=og.Input.stack(size=32))``.

    By default it is one image. `Input.stack` makes it a volume or a video, and `Input.group` several images that share
    a field. Preprocessing applies to each image, and the results are stacked. An input has one prediction, which holds
    for all of its images.
    """

    kind: Literal["image", "stack", "group"] = "image"
    by: tuple[str, ...] = ()
    """The fields whose values the images of a group share."""
    order: str | None = None
    """The field that gives the order in a group. A stack has its own order."""
    views: tuple[Value, ...] | None = None
    """The values of `order`, in the order of the input: one image for each."""
    size: int | None = None
    """How many images an input has; None for any number."""
    few: Few = "raise"
    """If images are missing: an error, no prediction (``skip``), or images of zeros in their place (``pad``)."""
    many: Many = "raise"
    """If there are too many: an error, no prediction (``skip``), the ``first``, or at equal distances (``spread``)."""
    layout: Layout = "chw"
    """The axes of one input: c for bands, d or n for its images, h, w."""
    label: LabelRule = "agree"
    """The label of an input: that of all its images, of the ``first``, or the largest (``max``), in the order of the
    classes. Images without a label do not count."""

    @classmethod
    def stack(
        cls,
        *,
        size: int | None = None,
        few: Few = "raise",
        many: Many = "raise",
        layout: Layout = "cdhw",
        label: LabelRule = "agree",
    ) -> Self:
        """A volume or a video: its slices or frames in order.

        Args:
            size: The number of slices or frames; by default any number, each stack its own.
            few: If a stack has fewer: ``raise``, ``skip`` it, or ``pad`` it with zeros at the end.
            many: If it has more: ``raise``, ``skip`` it, take the ``first``, or ``spread`` them at equal distances.
            layout: ``cdhw`` as 3d convolutions take it, ``dhw`` if the slices are the channels, or ``nchw``.
            label: ``agree``, ``first`` or ``max``: which label an input has; see `Input`.
        """
        return cls(kind="stack", size=size, few=few, many=many, layout=layout, label=label)

    @classmethod
    def group(
        cls,
        *by: str,
        order: str,
        views: Sequence[Value] | None = None,
        size: int | None = None,
        few: Few = "raise",
        many: Many = "raise",
        layout: Layout = "nchw",
        label: LabelRule = "agree",
    ) -> Self:
        """Several images that share the values of fields: ``Input.group("PatientID", order="eye", views=("L", "R"))``.

        Args:
            by: The fields, such as the patient.
            order: The field that gives the order of the images.
            views: The values of `order`, in the order of the input. There is one image for each.
            size: The number of images, if there are no `views`; by default any number.
            few: If a group has fewer: ``raise``, ``skip`` it, or ``pad`` it with zeros in place of what is missing.
            many: If it has more: ``raise``, ``skip`` it, take the ``first``, or ``spread`` them at equal distances.
            layout: ``nchw`` (images, bands, height, width), ``cdhw``, or ``dhw`` if the images are the channels.
            label: ``agree``, ``first`` or ``max``: which label an input has; see `Input`.
        """
        return cls(
            kind="group", by=by, order=order, views=None if views is None else tuple(views), size=size, few=few,
            many=many, layout=layout, label=label,
        )  # fmt: skip

    def __post_init__(self) -> None:
        """Check that its parts fit each other.

        Raises:
            QueryError: A part is of another type, or an unknown word.
            DataError: Parts do not fit each other.
        """
        check_fields(self, "Input")
        if (self.kind == "image") != (self.layout == "chw"):
            raise DataError(f"An input that is a {self.kind} has not the layout {self.layout!r}: leave layout= out.")
        if self.kind == "image" and any(getattr(self, name) != value for name, value in _DEFAULTS.items()):
            raise DataError("An input that is one image has no order, size or label of its own: Input.stack() has.")
        if (self.kind == "group") != bool(self.by) or (self.kind == "group") != (self.order is not None):
            raise DataError('A group needs its fields and their order: Input.group("PatientID", order="eye").')
        if self.size is not None and ((size := whole(self.size)) is None or size < 1):
            raise DataError(f"size={self.size!r} is no number of images: give 1 or more.")
        if self.size is not None:
            object.__setattr__(self, "size", int(self.size))  # NumPy's have no JSON form
        if self.views is not None and (not self.views or len(set(self.views)) < len(self.views)):
            raise DataError(f"views={self.views!r}: give each value of {self.order!r} once, in their order.")
        if self.views is not None and (self.size is not None or self.many == "spread"):
            raise DataError("views= say how many images there are, and which: leave size= and many='spread' out.")
        if self.number is None and (self.few, self.many) != ("raise", "raise"):
            raise DataError("few= and many= need to know how many images an input has: give size= or views=.")

    @property
    def several(self) -> bool:
        """Whether it holds more than one image."""
        return self.kind != "image"

    @property
    def number(self) -> int | None:
        """How many images it has; None for any number."""
        return self.size if self.views is None else len(self.views)

    @property
    def axes(self) -> str:
        """The axes of one input, for messages."""
        return LAYOUTS[self.layout]

    def to_text(self) -> str:
        """As JSON text, which the model's node keeps."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value != _DEFAULTS[name]}, sort_keys=True
        )

    @classmethod
    def from_text(cls, text: str | None) -> Self:
        """What `to_text` gave; None is one image."""
        form: dict[str, Any] = json.loads(text or "{}")
        for name, value in form.items():
            form[name] = tuple(value) if isinstance(value, list) else value
        return cls(**form)

    def __str__(self) -> str:
        """What it is, in a few words."""
        if not self.several:
            return "one image"
        number = "all" if self.number is None else str(self.number)
        if self.kind == "stack":
            return f"{number} images of a stack as {self.axes}"
        return f"{number} images of the same {', '.join(self.by)} by {self.order} as {self.axes}"


_DEFAULTS: Final = {name: field.default for name, field in Input.__dataclass_fields__.items()}
