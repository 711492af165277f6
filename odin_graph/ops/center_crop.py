"""Crop the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from odin_graph.errors import ShapeError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels
from odin_graph.ops.sizes import both, read_size


@OPS.register("center-crop")
@dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Crop the middle to ``size``: (height, width), or one number for both. Never pads."""

    batched: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    size: int | Sequence[int]

    def __post_init__(self) -> None:
        """Check the size; a list from JSON becomes a tuple."""
        object.__setattr__(self, "size", read_size("center-crop", self.size))

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            ShapeError: The image is smaller than the crop.
        """
        where = self.geometry(*pixels.shape[-3:-1])
        left, top = map(int, where.to_parent[:2, 2])
        return pixels[..., top : top + where.height, left : left + where.width, :]

    def geometry(self, height: int, width: int) -> Geometry:
        """Where the middle lies."""
        to_height, to_width = both(read_size("center-crop", self.size))
        if height < to_height or width < to_width:
            raise ShapeError(
                f"center-crop to {to_height} x {to_width} has too little in an image of {height} x {width}: "
                "put a resize before it."
            )
        return Geometry.of(to_height, to_width, shift=(round((width - to_width) / 2), round((height - to_height) / 2)))
