"""The metrics: what near means."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import UnknownNameError

METRICS: Final = ("cosine", "l2", "inner-product")
"""``cosine`` is 1 - cos, ``l2`` the true distance, ``inner-product`` its negative, so that less is always nearer."""
SHORTEST: Final = 1e-30
"""A shorter vector counts as zero: float32 has no digits left for its direction."""


def check_metric(metric: str) -> None:
    """Raise `UnknownNameError` for a metric there is not."""
    if metric not in METRICS:
        raise UnknownNameError.of("metric", metric, METRICS)


def lengths_of(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Euclidean lengths (n,) of vectors (n, d); 0 for what is too short for float32 to have a direction."""
    lengths: NDArray[np.float64] = np.linalg.norm(vectors.astype(np.float64), axis=1)
    return np.where(lengths < SHORTEST, 0.0, lengths)


def prepared(vectors: NDArray[Any], metric: str) -> NDArray[np.float32]:
    """Vectors (n, d) as products of float32 compare them: of length 1 for cosine; a zero vector stays."""
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    return directions(rows).astype(np.float32) if metric == "cosine" else rows


def directions(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Vectors (n, d) at length 1; zero vectors as they are."""
    lengths = lengths_of(vectors)[:, None]
    units: NDArray[np.float64] = np.where(lengths == 0, 0.0, vectors / np.where(lengths == 0, 1, lengths))
    return units


def distances(query: NDArray[Any], vectors: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Distances from one query (d,), or from one for each (n, d), to vectors (n, d), in float64.

    A distance is 0 between equal vectors, also by cosine. A zero vector has no direction: by cosine it is at distance 0
    from another zero vector, and at 1 from everything else.
    """
    wide, to = vectors.astype(np.float64), np.atleast_2d(query).astype(np.float64)
    if metric == "inner-product":
        # Summed row by row, so that equal rows have equal sums whatever the other rows are.
        product: NDArray[np.float64] = -(wide * to).sum(axis=1)
        return product
    if metric == "l2":
        euclidean: NDArray[np.float64] = np.sqrt(((wide - to) ** 2).sum(axis=1))
        return euclidean
    one_is_zero = (lengths_of(wide) == 0) != (lengths_of(to) == 0)
    # Half the square between directions is 1 - cos, without what 1 - 1 loses.
    cosine: NDArray[np.float64] = ((directions(wide) - directions(to)) ** 2).sum(axis=1) / 2
    return np.where(one_is_zero, 1.0, cosine)


def with_directions(*vectors: NDArray[Any], dtype: Any = np.float32) -> list[NDArray[Any]]:
    """Directions whose products are 1 - `distances` by cosine, also of zeros.

    Zero vectors point along an axis of their own, which is added where there are any.
    """
    units = [np.concatenate([directions(part).astype(dtype) for part in _blocks(rows)]) for rows in vectors]
    zero = [~rows.any(axis=1, keepdims=True) for rows in units]
    if not any(rows.any() for rows in zero):
        return units
    return [np.hstack([rows, own.astype(dtype)]) for rows, own in zip(units, zero, strict=True)]


def _blocks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Blocks of rows, so that only one of them is in float64 at a time."""
    return [rows[start : start + 8_192] for start in range(0, max(1, len(rows)), 8_192)]
