"""Contrast-limited adaptive histogram equalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from odin_graph.errors import DataError, MissingExtraError
from odin_graph.ops.dtypes import to_dtype
from odin_graph.ops.op import OPS, Pixels


@OPS.register("clahe")
@dataclass(frozen=True, kw_only=True)
class Clahe:
    """CLAHE (Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994), band by band.

    scikit-image's `equalize_adapthist`, which counts in 14 bits: of uint16 and float images the two finest bits of the
    result are rounded. Values are spread from the least to the greatest that the image's dtype holds; floats are taken
    as 0 to 1, and come out so.
    """

    keeps_positions: ClassVar[bool] = True

    clip: float = 0.01
    """Between 0 and 1: more gives more contrast."""
    tiles: int = 8
    """So many across and down, each with its own histogram."""

    def __post_init__(self) -> None:
        """Check the parameters."""
        if not 0 < self.clip <= 1 or type(self.tiles) is not int or self.tiles < 1:
            raise DataError(f"clahe takes a clip in (0, 1] and 1 or more tiles, not {self.clip} and {self.tiles}.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(h, w, bands) in and out.

        Raises:
            DataError: A bool image, or floats beyond 0 to 1.
            MissingExtraError: scikit-image is not installed.
        """
        try:
            from skimage.exposure import equalize_adapthist
        except ImportError as error:
            raise MissingExtraError("clahe needs scikit-image: pip install scikit-image.") from error
        if pixels.dtype.kind not in "uif" or pixels.dtype.kind == "i":
            raise DataError(f"clahe takes unsigned integers or floats, not {pixels.dtype}: put a to-float before it.")
        top = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
        scaled = pixels / top
        if scaled.min() < 0 or scaled.max() > 1:
            raise DataError("clahe takes floats from 0 to 1: put a to-float before it.")
        tile = [max(1, side // self.tiles) for side in pixels.shape[:2]]
        bands = []
        for band in range(pixels.shape[2]):
            flat = scaled[:, :, band].min() == scaled[:, :, band].max()  # which has no contrast to spread
            bands.append(scaled[:, :, band] if flat else equalize_adapthist(scaled[:, :, band], tile, self.clip))
        return to_dtype(np.stack(bands, axis=-1) * top, pixels.dtype)
