"""The interface for reading pixels of images, from this machine or another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]


class PixelReader(Protocol):
    """Reads in the order of keys, which may repeat. `SegmentedArray` is one."""

    def shapes(self, keys: Keys) -> list[tuple[int, ...]]:
        """The shape of each image, without reading it."""
        ...

    def read(self, keys: Keys) -> NDArray[Any]:
        """One array of images of the same shape and dtype."""
        ...

    def read_together(self, keys: Keys) -> NDArray[Any] | list[NDArray[Any]]:
        """As `read_list`, or as one array where that saves a copy."""
        ...

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """All pixels (h, w, bands) of each image."""
        ...

    def read_boxes(self, keys: Keys, boxes: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """The pixels of a box (left, top, right, bottom) of each image."""
        ...

    def read_displayed(self, keys: Keys) -> list[NDArray[Any]]:
        """Pixels for display: of huge images a small version."""
        ...
