"""From values to yes and no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.op import OPS, Pixels


@OPS.register("threshold")
@dataclass(frozen=True, kw_only=True)
class Threshold:
    """True where a pixel is above ``value``, which is in the image's own units; each band by itself."""

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    value: float

    def __post_init__(self) -> None:
        """Check the value."""
        if not np.isfinite(self.value):
            raise DataError(f"threshold takes a finite value, not {self.value}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in, bool of the same shape out."""
        return pixels > self.value
