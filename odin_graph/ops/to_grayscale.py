"""From color to gray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import ShapeError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.op import OPS, Pixels

# ITU-R 601-2 luma, as Pillow and torchvision weigh.
_LUMA = (0.299, 0.587, 0.114)


@OPS.register("to-grayscale")
@dataclass(frozen=True, kw_only=True)
class ToGrayscale:
    """One band, by luma, in the image's own dtype. A gray image stays as it is; transparency is left out."""

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, 1 to 4) in, (..., h, w, 1) out.

        Raises:
            ShapeError: More bands than color and transparency.
        """
        bands = pixels.shape[-1]
        if bands <= 2:
            return pixels[..., :1]
        if bands > 4:
            raise ShapeError(
                f"to-grayscale takes gray or color images, not {bands} bands: choose one by an operation of your own."
            )
        working = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        color: Pixels = pixels[..., :3].astype(working)
        luma: Pixels = np.array(_LUMA, working)[:, np.newaxis]
        return to_dtype(np.matmul(color, luma), pixels.dtype)
