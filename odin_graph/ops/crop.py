"""Cut out a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from odin_graph.errors import DataError, ShapeError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels


@OPS.register("crop")
@dataclass(frozen=True, kw_only=True)
class Crop:
    """The box of ``height`` x ``width`` pixels whose first is in row ``top`` and column ``left``. Never pads."""

    batched: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    top: int
    left: int
    height: int
    width: int

    def __post_init__(self) -> None:
        """Check the box."""
        numbers = (self.top, self.left, self.height, self.width)
        if any(type(number) is not int for number in numbers) or min(self.height, self.width) < 1:
            raise DataError(f"crop takes whole numbers of pixels, height and width above 0, not {numbers}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            ShapeError: The box reaches outside of the image.
        """
        self.geometry(*pixels.shape[-3:-1])
        return pixels[..., self.top : self.top + self.height, self.left : self.left + self.width, :]

    def geometry(self, height: int, width: int) -> Geometry:
        """Where the crop lies."""
        bottom, right = self.top + self.height, self.left + self.width
        if min(self.top, self.left) < 0 or bottom > height or right > width:
            raise ShapeError(
                f"The crop of rows {self.top} to {bottom} and columns {self.left} to {right} reaches outside of an "
                f"image of {height} x {width}: put a pad before it, or crop less."
            )
        return Geometry.of(self.height, self.width, shift=(self.left, self.top))
