"""Turn an image about its middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from odin_graph.errors import DataError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels

_ORDERS: Final = {"nearest": 0, "bilinear": 1, "bicubic": 3}


@OPS.register("rotate")
@dataclass(frozen=True, kw_only=True)
class Rotate:
    """Turn counter-clockwise by ``degrees`` about the middle, in the image's own dtype; the size stays unless expanded.

    Quarter turns of a square, or expanded, are exact. Others are computed by SciPy's spline interpolation; what comes
    from outside is ``fill``. ``nearest`` invents no values, as masks and bool images need.
    """

    degrees: float
    method: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    expand: bool = False
    """Make the result large enough for all of the image."""
    fill: float = 0

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not np.isfinite(self.degrees):
            raise DataError(f"rotate takes a finite angle in degrees, not {self.degrees}.")
        if self.method not in _ORDERS:
            raise DataError(f"rotate knows no method {self.method!r}: give {', '.join(_ORDERS)}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(h, w, bands) in and out."""
        from scipy import ndimage  # half a second that opening a workspace need not wait for

        height, width = pixels.shape[:2]
        turns = self.degrees / 90
        if turns == round(turns) and (self.expand or height == width or round(turns) % 2 == 0):
            return np.ascontiguousarray(np.rot90(pixels, round(turns) % 4))
        if pixels.dtype == np.bool_ and self.method != "nearest":
            raise DataError('A bool image has no values in between: rotate it with method="nearest".')
        where = self.geometry(height, width)
        working = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        values = pixels.astype(working)
        # SciPy counts (row, column) from the middle of the first pixel.
        (a, b, shift_x), (c, d, shift_y), _ = where.to_parent
        matrix = np.array([[d, c], [b, a]])
        offset = np.array([shift_y, shift_x]) + matrix @ [0.5, 0.5] - 0.5
        bands = [
            ndimage.affine_transform(
                values[:, :, band],
                matrix,
                offset,
                (where.height, where.width),
                order=_ORDERS[self.method],
                mode="grid-constant",
                cval=self.fill,
            )
            for band in range(values.shape[2])
        ]
        return to_dtype(np.stack(bands, axis=-1), pixels.dtype)

    def geometry(self, height: int, width: int) -> Geometry:
        """Turned about the middles of both."""
        angle = np.deg2rad(self.degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # to the parent; y is down
        size = height, width
        if self.expand:
            spread = np.abs(turn) @ np.array([width, height])
            size = int(np.ceil(round(spread[1], 6))), int(np.ceil(round(spread[0], 6)))
        middle = np.array([width, height]) / 2 - turn @ (np.array([size[1], size[0]]) / 2)
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = turn, middle
        return Geometry(*size, matrix)
