"""Real activations: pixels of scikit-learn's digits, and a small network that has learned a little from MNIST."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from odin_graph.analysis.units.slab import Slab
from odin_graph.runtime.layers.hooks import captured
from tests.runtime.digits import as_inputs, digits, trained

Values = NDArray[np.float32]


def slabs(values: NDArray[np.floating], size: int = 7) -> Iterator[Slab]:
    """Units numbered from 0, a few at a time."""
    held = np.asarray(values, np.float32)
    for first in range(0, len(held), size):
        part = held[first : first + size]
        yield Slab(np.arange(first, first + len(part)), part)


@cache
def pixels() -> tuple[Values, NDArray[np.int64]]:
    """Pixels as units (64, 1797), with many ties, zeros, and some that are dead; and the digits."""
    held = load_digits()
    return np.ascontiguousarray(held.data.T.astype(np.float32)), held.target


@cache
def maps() -> tuple[Values, NDArray[np.int64]]:
    """Maps (16, 300, 13, 13) of the second ReLU over 300 digits, and their labels."""
    images, labels = digits()
    module = trained()
    with captured(module, ["relu#2"]) as outputs, torch.no_grad():
        module(as_inputs(images))
        held = outputs["relu#2"].numpy()
    return np.ascontiguousarray(held.transpose(1, 0, 2, 3)), labels


@cache
def units() -> tuple[Values, NDArray[np.int64]]:
    """Every 9th unit of that layer (301, 300), and the labels."""
    held, labels = maps()
    flat = held.transpose(0, 2, 3, 1).reshape(-1, held.shape[1])
    return np.ascontiguousarray(flat[::9]), labels
