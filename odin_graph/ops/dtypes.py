"""Back from calculating in floats to the dtype an image came with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from odin_graph.ops.op import Pixels


def to_dtype(values: Pixels, dtype: DTypeLike) -> Pixels:
    """Round half up and clip to an integer dtype, as Pillow does; cast to a float one. Contiguous."""
    target: np.dtype[Any] = np.dtype(dtype)
    if target.kind in "iu":
        limits = np.iinfo(target)
        # A float cannot hold the largest of 64 bits, and casting what rounds above it would wrap around.
        top = np.nextafter(values.dtype.type(limits.max), values.dtype.type(0)) if target.itemsize == 8 else limits.max
        values = np.clip(np.floor(values + 0.5), limits.min, top)
    return np.ascontiguousarray(values, dtype=target)
