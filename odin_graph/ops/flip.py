"""Mirror an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from odin_graph.errors import DataError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels


@OPS.register("flip")
@dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirror left and right (``horizontal``), or top and bottom (``vertical``)."""

    batched: ClassVar[bool] = True

    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        """Check the axis."""
        if self.axis not in ("horizontal", "vertical"):
            raise DataError(f"flip knows no axis {self.axis!r}: give horizontal or vertical.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out."""
        return pixels[..., ::-1, :] if self.axis == "horizontal" else pixels[..., ::-1, :, :]

    def geometry(self, height: int, width: int) -> Geometry:
        """Its own inverse."""
        if self.axis == "horizontal":
            return Geometry.of(height, width, scale=(-1, 1), shift=(width, 0))
        return Geometry.of(height, width, scale=(1, -1), shift=(0, height))
