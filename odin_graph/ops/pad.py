"""Add rows and columns around an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from odin_graph.errors import DataError, ShapeError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels

Mode = Literal["constant", "edge", "reflect"]


@OPS.register("pad")
@dataclass(frozen=True, kw_only=True)
class Pad:
    """Add so many pixels on each side: of one number ``fill``, of the ``edge``, or by ``reflect``, as NumPy's `pad`."""

    batched: ClassVar[bool] = True

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0
    mode: Mode = "constant"
    fill: float = 0

    def __post_init__(self) -> None:
        """Check the sides."""
        sides = (self.left, self.top, self.right, self.bottom)
        if any(type(side) is not int or side < 0 for side in sides):
            raise DataError(f"pad takes whole numbers of pixels, 0 or more, not {sides}: use crop to remove pixels.")
        if self.mode not in ("constant", "edge", "reflect"):
            raise DataError(f"pad knows no mode {self.mode!r}: give constant, edge or reflect.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            DataError: The fill is none that the image's dtype holds.
            ShapeError: There is less to reflect than is asked for.
        """
        height, width = pixels.shape[-3:-1]
        width_of = [(0, 0)] * (pixels.ndim - 3) + [(self.top, self.bottom), (self.left, self.right), (0, 0)]
        if self.mode != "constant":
            if self.mode == "reflect" and (max(self.top, self.bottom) >= height or max(self.left, self.right) >= width):
                raise ShapeError(
                    f"pad by reflection needs more pixels than an image of {height} x {width} has: pad less, or by "
                    'mode="edge".'
                )
            return np.pad(pixels, width_of, mode=self.mode)
        filled = np.asarray(self.fill).astype(pixels.dtype)
        if filled != self.fill:
            raise DataError(f"An image of {pixels.dtype} cannot contain {self.fill}: give a value of its dtype.")
        return np.pad(pixels, width_of, mode="constant", constant_values=filled)

    def geometry(self, height: int, width: int) -> Geometry:
        """Where the image lies in what was made of it."""
        size = height + self.top + self.bottom, width + self.left + self.right
        return Geometry.of(*size, shift=(-self.left, -self.top))
