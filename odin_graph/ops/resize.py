"""Resize, antialiased, in the image's own dtype: nothing passes through 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels
from odin_graph.ops.sizes import read_size

Method = Literal["bilinear", "bicubic", "nearest"]
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}


@OPS.register("resize")
@dataclass(frozen=True, kw_only=True)
class Resize:
    """Resize to ``size``: (height, width), or one number for the shorter side, which keeps the proportions.

    The filters are those of Pillow and of torchvision with ``antialias=True``: when an image shrinks, they widen with
    the scale. ``nearest`` invents no values, as masks and bool images need.
    """

    batched: ClassVar[bool] = True

    size: int | Sequence[int]
    method: Method = "bilinear"

    def __post_init__(self) -> None:
        """Check the parameters; a list from JSON becomes a tuple."""
        object.__setattr__(self, "size", read_size("resize", self.size))
        if self.method not in ("bilinear", "bicubic", "nearest"):
            raise DataError(f"resize knows no method {self.method!r}: give bilinear, bicubic or nearest.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) in, the same dtype out."""
        height, width = self._target(*pixels.shape[-3:-1])
        if (height, width) == pixels.shape[-3:-1]:
            return pixels
        if self.method == "nearest":
            rows, columns = (
                _nearest(have, want) for have, want in zip(pixels.shape[-3:-1], (height, width), strict=True)
            )
            return pixels[..., rows[:, np.newaxis], columns, :]
        if pixels.dtype == np.bool_:
            raise DataError('A bool image has no values in between: resize it with method="nearest".')
        working = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
        down = _weights(pixels.shape[-3], height, self.method).astype(working)
        across = _weights(pixels.shape[-2], width, self.method).astype(working)
        # Bands first, so that both passes are matrix products.
        bands = np.moveaxis(pixels.astype(working, copy=False), -1, -3)
        return to_dtype(np.moveaxis(np.matmul(down, np.matmul(bands, across.T)), -3, -1), pixels.dtype)

    def geometry(self, height: int, width: int) -> Geometry:
        """Scaled, edge on edge."""
        to_height, to_width = self._target(height, width)
        return Geometry.of(to_height, to_width, scale=(width / to_width, height / to_height), shift=(0, 0))

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if not isinstance(self.size, int):
            return self.size[0], self.size[1]
        short = min(height, width)
        return int(self.size * height / short), int(self.size * width / short)


@lru_cache(maxsize=256)
def _weights(have: int, want: int, method: str) -> NDArray[np.float64]:
    """(want, have): how much each pixel of the old line gives to each of the new one. Rows sum to 1."""
    scale = have / want
    widen = max(scale, 1.0)
    centers = (np.arange(want) + 0.5) * scale
    reach = _SUPPORT[method] * widen
    low = np.maximum((centers - reach + 0.5).astype(int), 0)
    high = np.minimum((centers + reach + 0.5).astype(int), have)
    positions = np.arange(have)
    distance = np.abs((positions + 0.5 - centers[:, np.newaxis]) / widen)
    weights = _triangle(distance) if method == "bilinear" else _cubic(distance)
    weights[(positions < low[:, np.newaxis]) | (positions >= high[:, np.newaxis])] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    weights.flags.writeable = False
    return weights


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - x, 0.0)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a = -0.5  # Pillow's and torchvision's, when they antialias
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _nearest(have: int, want: int) -> NDArray[np.intp]:
    return np.minimum(((np.arange(want) + 0.5) * have / want).astype(np.intp), have - 1)
