"""Memory for batches, taken again once nobody holds a tensor of it: fresh pages cost more than the arithmetic."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MOST: Final = 4
_FREE: Final = 3
"""References to a buffer that no tensor holds: of the list, of the loop, and of the call of `getrefcount`."""


class Buffers:
    """A few arrays of float32. A tensor of one holds it, and so does every view, and what autograd keeps."""

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.float32]] = []

    def as_tensor(self, pixels: NDArray[Any]) -> Tensor:
        """Pixels (n, h, w, bands) as (n, bands, h, w) of float32."""
        moved = np.moveaxis(pixels, -1, -3)
        room = self._free(moved.shape)
        np.copyto(room, moved, casting="unsafe")
        return torch.from_numpy(room)

    def _free(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        for buffer in self._buffers:
            if buffer.shape == shape and sys.getrefcount(buffer) <= _FREE:
                return buffer
        made = np.empty(shape, np.float32)
        self._buffers = [made, *self._buffers[: _MOST - 1]]
        return made
