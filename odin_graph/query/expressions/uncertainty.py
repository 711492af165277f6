"""How sure a model was, from its probabilities (n, classes)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def margin(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest probability less the second largest; NaN if there is only one class."""
    if probabilities.shape[1] < 2:
        return np.full(len(probabilities), np.nan)
    two = np.partition(probabilities, -2, axis=1)[:, -2:].astype(np.float64)
    largest: NDArray[np.float64] = two[:, 1] - two[:, 0]
    return largest


def entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """The entropy in nats; a probability of zero adds nothing."""
    exact = probabilities.astype(np.float64)
    logarithms = np.log(exact, where=exact > 0, out=np.zeros_like(exact))
    total: NDArray[np.float64] = -(exact * logarithms).sum(axis=1)
    return total


def rank(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place (n,) of the true class among the classes by probability, 1 the first; ties by the order of classes.

    Args:
        probabilities: (n, classes).
        truth: (n,), the position of the true class.
    """
    own = probabilities[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(probabilities.shape[1])[None] < truth[:, None]
    smaller: NDArray[np.int64] = ((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1)
    return smaller + 1
