"""Real images for benchmarks, from packages: Fashion-MNIST of Debian, photographs of scikit-image and scikit-learn."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FASHION = Path("/usr/share/datasets/fashion-mnist")


@cache
def fashion() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels (70000, 28, 28) and labels (70000,), training images first."""
    if not _FASHION.exists():
        raise SystemExit("This benchmark needs Fashion-MNIST: apt-get install dataset-fashion-mnist")
    pixels, labels = [], []
    for part in ("train", "t10k"):
        raw = gzip.decompress((_FASHION / f"{part}-images-idx3-ubyte.gz").read_bytes())
        pixels.append(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28))
        labels.append(
            np.frombuffer(gzip.decompress((_FASHION / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        )
    return np.concatenate(pixels), np.concatenate(labels)


def crops(number: int, side: int = 224) -> NDArray[np.uint8]:
    """Boxes (number, side, side, 3) of photographs, drawn by chance."""
    from skimage import data as photographs
    from sklearn.datasets import load_sample_images

    held: Any = photographs
    every = [held.astronaut(), held.chelsea(), held.coffee(), held.rocket(), *load_sample_images().images]
    draw = np.random.default_rng(0)
    made = np.empty((number, side, side, 3), np.uint8)
    for place in range(number):
        image = every[int(draw.integers(len(every)))]
        top, left = (int(draw.integers(size - side + 1)) for size in image.shape[:2])
        made[place] = image[top : top + side, left : left + side]
    return made
