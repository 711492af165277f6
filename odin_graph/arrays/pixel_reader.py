"""What reads the pixels of images, from here or from far away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]


class PixelReader(Protocol):
    """Reads in the order of keys, which may repeat. `SegmentedArray` is one."""

    def shapes(self, keys: Keys) -> list[tuple[int, ...]]:
        """Of each image, without reading it."""
        ...

    def read(self, keys: Keys) -> NDArray[Any]:
        """As one array, of images of one shape and dtype."""
        ...

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """All pixels (h, w, bands) of each."""
        ...

    def read_boxes(self, keys: Keys, boxes: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """Those of a box (left, top, right, bottom) of each."""
        ...

    def read_displayed(self, keys: Keys) -> list[NDArray[Any]]:
        """Of each some for looking at."""
        ...
