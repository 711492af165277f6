"""Image operations as steps of a query. They are lazy until you look at the result, train on it or store it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from odin_graph.checked import checked_calls
from odin_graph.errors import ConflictError, DataError, UnknownNameError
from odin_graph.ops import OPS, ImageOp, Pipeline, build_op
from odin_graph.ops.op import parameter_names
from odin_graph.registry import PluginError
from odin_graph.runtime.derive.function import Function

Made = TypeVar("Made")
"""The result of a step: the derived images, or the patches with one more operation."""


@checked_calls
class Operations(ABC, Generic[Made]):
    """The image operations of a query: the built-in ones as typed methods, and every registered one by its name.

    A registered operation ``quarter-turn`` of another package is ``query.quarter_turn(turns=1)``: in a method's name,
    underscores stand for the hyphens.
    """

    @abstractmethod
    def _applied(self, op: ImageOp) -> Made:
        """The images after the operation."""

    def apply(self, /, op: str | ImageOp | Callable[[Any], Any], **parameters: Any) -> Made:
        """Apply an operation: ``apply("resize", size=28)``, ``apply(og.ops.Resize(size=28))``, ``apply(my_function)``.

        Args:
            op: The name of a registered operation, an operation, or a function of your own from pixels
                (h, w, bands) to pixels (h', w') or (h', w', bands').
            parameters: Of a named operation.

        Raises:
            UnknownNameError: There is no such operation or parameter.
            DataError: A value that the operation refuses.
        """
        if isinstance(op, str):
            return self._applied(build_op(op, parameters))
        if parameters:
            raise DataError(f"Parameters ({', '.join(parameters)}) are for an operation given by its name.")
        if isinstance(op, type) or not callable(op):
            raise DataError(f"{op!r:.80} is not an operation: give its name, an instance of it, or a function.")
        if isinstance(op, ImageOp) and type(op) in _registered():
            return self._applied(op)
        return self._applied(Function(op))

    def resize(
        self, size: int | Sequence[int], *, method: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    ) -> Made:
        """Resize to (height, width), or the shorter side to one number; see `odin_graph.ops.Resize`."""
        return self.apply("resize", size=size, method=method)

    def crop(self, box: Sequence[int]) -> Made:
        """Cut out a box (left, top, right, bottom) in pixels, right and bottom exclusive; see `odin_graph.ops.Crop`."""
        return self.apply("crop", box=box)

    def center_crop(self, size: int | Sequence[int]) -> Made:
        """Cut out the middle; see `odin_graph.ops.CenterCrop`."""
        return self.apply("center-crop", size=size)

    def normalize(self, mean: float | Sequence[float], std: float | Sequence[float]) -> Made:
        """Subtract and divide, band by band; see `odin_graph.ops.Normalize`."""
        return self.apply("normalize", mean=mean, std=std)

    def pad(
        self,
        left: int = 0,
        top: int = 0,
        right: int = 0,
        bottom: int = 0,
        *,
        mode: Literal["constant", "edge", "reflect"] = "constant",
        fill: float = 0,
    ) -> Made:
        """Add rows and columns on all sides; see `odin_graph.ops.Pad`."""
        return self.apply("pad", left=left, top=top, right=right, bottom=bottom, mode=mode, fill=fill)

    def flip(self, axis: Literal["horizontal", "vertical"] = "horizontal") -> Made:
        """Mirror; see `odin_graph.ops.Flip`."""
        return self.apply("flip", axis=axis)

    def rotate(
        self,
        degrees: float,
        *,
        method: Literal["nearest", "bilinear", "bicubic"] = "bilinear",
        expand: bool = False,
        fill: float = 0,
    ) -> Made:
        """Rotate counter-clockwise around the middle; see `odin_graph.ops.Rotate`."""
        return self.apply("rotate", degrees=degrees, method=method, expand=expand, fill=fill)

    def blur(self, sigma: float) -> Made:
        """Apply a Gaussian blur; ``sigma`` is in pixels; see `odin_graph.ops.Blur`."""
        return self.apply("blur", sigma=sigma)

    def threshold(self, value: float) -> Made:
        """True above a value, in the units of the image; see `odin_graph.ops.Threshold`."""
        return self.apply("threshold", value=value)

    def contrast(self, factor: float) -> Made:
        """Spread the values of each band around their mean; see `odin_graph.ops.Contrast`."""
        return self.apply("contrast", factor=factor)

    def clahe(self, *, clip: float = 0.01, tiles: int = 8) -> Made:
        """Contrast-limited adaptive histogram equalization; see `odin_graph.ops.Clahe`."""
        return self.apply("clahe", clip=clip, tiles=tiles)

    def to_grayscale(self) -> Made:
        """One band; see `odin_graph.ops.ToGrayscale`."""
        return self.apply("to-grayscale")

    def to_rgb(self) -> Made:
        """Three bands; see `odin_graph.ops.ToRgb`."""
        return self.apply("to-rgb")

    def to_float(self) -> Made:
        """Values as float32; see `odin_graph.ops.ToFloat`."""
        return self.apply("to-float")

    if not TYPE_CHECKING:  # a type checker shall find misspelt names

        def __getattr__(self, name: str) -> Callable[..., Made]:
            """Find a registered operation by its name."""
            spelt = name.replace("_", "-")
            if name.startswith("_") or spelt not in OPS:
                message = f"{type(self).__name__!r} has no attribute {name!r}."
                if not name.startswith("_"):
                    message = f"{message} {UnknownNameError.of('image operation', spelt, OPS)}"
                raise AttributeError(message)

            def step(*values: Any, **parameters: Any) -> Made:
                if values:
                    known = ", ".join(parameter_names(OPS.get(spelt))) or "there are none"
                    raise DataError(f"{name}() takes its parameters by keyword: {known}.")
                return self.apply(spelt, **parameters)

            return step


def read_operations(steps: Any) -> tuple[ImageOp, ...]:
    """Operations from their JSON form; raises as `Pipeline.of` does, and for users' functions, which have none."""
    for step in steps:
        if isinstance(step, dict) and step.get("op") == "python":
            raise DataError(
                f"The function {step.get('parameters', {}).get('function')} cannot be built from JSON: register it as "
                "an image operation."
            )
    return Pipeline.of(steps).ops


def _registered() -> set[type[Any]]:
    found: set[type[Any]] = set()
    for name in OPS:
        try:
            found.add(OPS.get(name))
        except (ConflictError, PluginError):  # another package's broken entry is not this operation
            continue
    return found
