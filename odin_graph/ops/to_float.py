"""Scale to floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.op import OPS, Pixels


@OPS.register("to-float")
@dataclass(frozen=True, kw_only=True)
class ToFloat:
    """To float32, with the largest integer of the dtype as 1 (zero stays 0, so signed images reach from -1 to 1).

    Floats keep their values, unless ``maximum`` is given.
    """

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    maximum: float | None = None
    """What becomes 1 instead: 4095 for 12 bits kept in uint16."""

    def __post_init__(self) -> None:
        """Check the maximum; 255 and 255.0 are the same parameter."""
        if self.maximum is not None:
            if isinstance(self.maximum, bool) or not isinstance(self.maximum, int | float) or not self.maximum > 0:
                raise DataError(f"to-float takes a maximum above 0, not {self.maximum!r}.")
            object.__setattr__(self, "maximum", float(self.maximum))

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in, float32 out."""
        maximum = self.maximum
        if maximum is None:
            maximum = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "iu" else 1.0
        if pixels.dtype.itemsize > 2:  # float32 has 24 bits: divide before they are cut off
            return (pixels / maximum).astype(np.float32)
        return pixels.astype(np.float32) / np.float32(maximum)
