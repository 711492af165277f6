"""From gray to color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import ShapeError
from odin_graph.ops.op import OPS, Pixels


@OPS.register("to-rgb")
@dataclass(frozen=True, kw_only=True)
class ToRgb:
    """Three bands: gray is repeated, color stays as it is, transparency is left out."""

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, 1 to 4) in, (..., h, w, 3) out, of the same dtype.

        Raises:
            ShapeError: More bands than color and transparency.
        """
        bands = pixels.shape[-1]
        if bands <= 2:
            return np.repeat(pixels[..., :1], 3, axis=-1)
        if bands > 4:
            raise ShapeError(
                f"to-rgb takes gray or color images, not {bands} bands: choose three by an operation of your own."
            )
        return pixels[..., :3]
