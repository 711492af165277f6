"""What near means."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import UnknownNameError

METRICS: Final = ("cosine", "l2", "inner-product")
"""``cosine`` is 1 - cos, ``l2`` the true distance, ``inner-product`` its negative, so that less is always nearer."""


def check_metric(metric: str) -> None:
    """Raise `UnknownNameError` for a metric there is not."""
    if metric not in METRICS:
        raise UnknownNameError.of("metric", metric, METRICS)


def prepared(vectors: NDArray[Any], metric: str) -> NDArray[np.float32]:
    """Vectors (n, d) as the index holds them: of length 1 for cosine. A zero vector stays, at distance 1 to all."""
    held = np.ascontiguousarray(vectors, dtype=np.float32)
    if metric != "cosine":
        return held
    lengths = np.linalg.norm(held.astype(np.float64), axis=1, keepdims=True)
    unit: NDArray[np.float32] = (held / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return unit


def distances(query: NDArray[np.float32], vectors: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """From one prepared query (d,) to each of the prepared vectors (n, d), in float64."""
    wide, to = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        away: NDArray[np.float64] = np.sqrt(((wide - to) ** 2).sum(axis=1))
        return away
    # Summed row by row, so that equal rows have equal sums whatever stands beside them.
    product: NDArray[np.float64] = (wide * to).sum(axis=1)
    return 1.0 - product if metric == "cosine" else -product
