"""Spread an image's values, or draw them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.op import OPS, Pixels


@OPS.register("contrast")
@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Multiply the distance of every value from the mean of its band by ``factor``, in the image's own dtype.

    1 changes nothing, 0 leaves the mean. Of one band it is torchvision's `adjust_contrast`; integers are clipped.
    """

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    factor: float

    def __post_init__(self) -> None:
        """Check the factor."""
        if not (np.isfinite(self.factor) and self.factor >= 0):
            raise DataError(f"contrast takes a factor of 0 or more, not {self.factor}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            DataError: A bool image, which has nothing between its values.
        """
        if pixels.dtype == np.bool_:
            raise DataError("A bool image has no contrast: put a to-float before it.")
        working = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        values = pixels.astype(working, copy=False)
        mean = values.mean(axis=(-3, -2), keepdims=True, dtype=np.float64).astype(working)
        return to_dtype(mean + np.asarray(self.factor, working) * (values - mean), pixels.dtype)
