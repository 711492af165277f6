"""What groups of units say, by the plainest loop: float64, in the order of the group, ties by key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AGGREGATES = ("sum", "mean", "max", "min", "l1", "l2", "weighted")
METRICS = ("l1", "l2", "linf", "cosine")


def aggregate(name: str, values: NDArray[np.float32], weights: Sequence[float] | None = None) -> Floats:
    """(n,) of values (n, G); NaN where it is missing."""
    wide = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        match name:
            case "sum":
                return _sum(wide)
            case "mean":
                return _sum(wide) / wide.shape[1]
            case "max":
                return np.asarray(np.max(wide, axis=1))
            case "min":
                return np.asarray(np.min(wide, axis=1))
            case "l1":
                return _sum(np.abs(wide))
            case "l2":
                return np.sqrt(_sum(wide**2))
            case "weighted":
                assert weights is not None
                return _sum(wide * np.array(weights))
    raise AssertionError(name)


def distance(metric: str, values: NDArray[np.float32], query: Floats, weights: Sequence[float] | None = None) -> Floats:
    """(n,) of values (n, G) to a query (G,); NaN where there is none."""
    wide, held = values.astype(np.float64), np.ones(values.shape[1]) if weights is None else np.array(weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.abs(wide - query)
        match metric:
            case "l1":
                return _sum(held * away)
            case "l2":
                return np.sqrt(_sum(held * away**2))
            case "linf":
                return np.asarray(np.max(held * away, axis=1))
            case "cosine":
                lengths = np.sqrt(_sum(held * wide**2)) * np.sqrt((held * query**2).sum())
                return 1 - _sum(held * wide * query) / lengths
    raise AssertionError(metric)


def in_order(keys: NDArray[np.int64], values: Floats, *, largest: bool) -> NDArray[np.int64]:
    """Positions, best first; ties by key, missing ones last."""
    gone = np.isnan(values)
    ranked = np.where(gone, 0, -values if largest else values)
    return np.lexsort((keys, ranked, gone))


def _sum(columns: Floats) -> Floats:
    total = np.zeros(len(columns))
    for column in columns.T:
        total = total + column
    return total
