"""Cut out a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from odin_graph.arguments import whole_box
from odin_graph.errors import ShapeError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels


@OPS.register("crop")
@dataclass(frozen=True, kw_only=True)
class Crop:
    """Cut out a box, (left, top, right, bottom) in pixels, right and bottom exclusive. Never pads."""

    batched: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    box: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        """Check the box; a list from JSON becomes a tuple."""
        object.__setattr__(self, "box", whole_box(self.box))

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            ShapeError: The box reaches outside of the image.
        """
        self.geometry(*pixels.shape[-3:-1])
        left, top, right, bottom = self.box
        return pixels[..., top:bottom, left:right, :]

    def geometry(self, height: int, width: int) -> Geometry:
        """Where the crop lies."""
        left, top, right, bottom = self.box
        if min(left, top) < 0 or bottom > height or right > width:
            raise ShapeError(
                f"The crop {self.box} (left, top, right, bottom) reaches outside of an image of {height} x {width}: "
                "put a pad before it, or crop less."
            )
        return Geometry.of(bottom - top, right - left, shift=(left, top))
