"""The stretch of Lupton et al., "Preparing Red-Green-Blue Images from CCD Data", PASP 116 (2004)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError


@dataclass(frozen=True, kw_only=True)
class AsinhStretch:
    """Faint light linearly, bright light logarithmically: ``asinh(softening * x) / asinh(softening)``, float32."""

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    softening: float = 10.0
    """How early it bends: larger is earlier."""

    def __post_init__(self) -> None:
        """Check the parameter."""
        if self.softening <= 0:
            raise DataError(f"asinh-stretch takes a softening above 0, not {self.softening}.")

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """(..., h, w, bands) in, float32 out: integers are first scaled to 0 ... 1 by the limits of their type."""
        scaled = pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else pixels
        return (np.arcsinh(self.softening * scaled) / np.arcsinh(self.softening)).astype(np.float32)
