"""Crop the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from odin_graph.errors import ShapeError
from odin_graph.ops.op import OPS, Pixels
from odin_graph.ops.sizes import read_size


@OPS.register("center-crop")
@dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Crop the middle to ``size``: (height, width), or one number for both. Never pads."""

    batched: ClassVar[bool] = True

    size: int | Sequence[int]

    def __post_init__(self) -> None:
        """Check the size; a list from JSON becomes a tuple."""
        object.__setattr__(self, "size", read_size("center-crop", self.size))

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            ShapeError: The image is smaller than the crop.
        """
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        have_height, have_width = pixels.shape[-3:-1]
        if have_height < height or have_width < width:
            raise ShapeError(
                f"center-crop to {height} x {width} has too little in an image of {have_height} x {have_width}: "
                "put a resize before it."
            )
        top, left = round((have_height - height) / 2), round((have_width - width) / 2)
        return pixels[..., top : top + height, left : left + width, :]
