"""Smooth an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.op import OPS, Pixels


@OPS.register("blur")
@dataclass(frozen=True, kw_only=True)
class Blur:
    """Gaussian blur of ``sigma`` pixels, each band by itself, in the image's own dtype. SciPy's `gaussian_filter`.

    The kernel ends at four sigmas, the border is mirrored, as in scikit-image's `gaussian`.
    """

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    sigma: float

    def __post_init__(self) -> None:
        """Check the parameter."""
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise DataError(f"blur takes a sigma above 0 in pixels, not {self.sigma}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in and out.

        Raises:
            DataError: A bool image, which has nothing between its values.
        """
        from scipy import ndimage  # half a second that opening a workspace need not wait for

        if pixels.dtype == np.bool_:
            raise DataError("A bool image cannot be blurred: put a to-float before it.")
        working = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        sigmas = [0.0] * (pixels.ndim - 3) + [self.sigma, self.sigma, 0.0]
        smooth = ndimage.gaussian_filter(pixels.astype(working, copy=False), sigmas, mode="reflect")
        return to_dtype(smooth, pixels.dtype)
