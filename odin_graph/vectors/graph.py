"""The nearest neighbours of each vector among the others: what clusters, near duplicates and outliers are told by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.vectors.library import faiss, threads
from odin_graph.vectors.metric import prepared

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK: Final = 2_048
"""Vectors whose neighbours are looked for together, as a product of matrices."""
DISTANCES: Final = ("cosine", "l2")


def neighbours_of_each(
    vectors: NDArray[Any], k: int, metric: str, done: Callable[[int], None] = lambda _: None
) -> tuple[Keys, Floats]:
    """The k nearest others of each of n vectors: positions and distances (n, min(k, n - 1)), nearest first.

    Exact but for float32's rounding; n squared products.
    """
    rows = _rows(vectors, metric)
    n = len(rows)
    k = min(k, n - 1)
    positions, away = np.empty((n, k), np.int64), np.empty((n, k))
    for start in range(0, n if k else 0, _BLOCK):
        check()
        part = rows[start : start + _BLOCK]
        with threads():
            scores, found = faiss().knn(part, rows, k + 1, _measure(metric))
        own = found == np.arange(start, start + len(part))[:, None]
        own[~own.any(axis=1), -1] = True  # among many alike the vector itself may be left out: then the last goes
        positions[start : start + len(part)] = found[~own].reshape(len(part), k)
        away[start : start + len(part)] = _distances(scores[~own].reshape(len(part), k), metric)
        done(len(part))
    return positions, away


def pairs_within(
    vectors: NDArray[Any], within: float, metric: str, done: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Keys, Keys]]:
    """Pairs (left < right) of positions whose vectors are at most so far from each other."""
    rows = _rows(vectors, metric)
    library, radius = faiss(), within * within if metric == "l2" else 1.0 - within
    for start in range(0, len(rows), _BLOCK):
        check()
        part, others = rows[start : start + _BLOCK], rows[start:]
        flat = (library.IndexFlatL2 if metric == "l2" else library.IndexFlatIP)(rows.shape[1])
        for first in range(0, len(others), 16 * _BLOCK):
            flat.reset()
            flat.add(others[first : first + 16 * _BLOCK])
            # FAISS takes what is strictly nearer than the radius.
            edge = np.nextafter(np.float32(radius), np.float32(np.inf if metric == "l2" else -np.inf))
            with threads():
                ends, _, found = flat.range_search(part, float(edge))
            left = np.repeat(np.arange(len(part)), np.diff(ends.astype(np.int64)))
            right = found.astype(np.int64) + first
            kept = left < right
            yield left[kept] + start, right[kept] + start
        done(len(part))


def check_distance(metric: str) -> None:
    """Raise `QueryError` for a metric that is no distance between two vectors."""
    if metric not in DISTANCES:
        raise QueryError(f"metric= is cosine or l2 here, not {metric!r}: an inner product is no distance.")


def _rows(vectors: NDArray[Any], metric: str) -> NDArray[np.float32]:
    check_distance(metric)
    return prepared(vectors, metric)


def _measure(metric: str) -> int:
    return int(faiss().METRIC_L2 if metric == "l2" else faiss().METRIC_INNER_PRODUCT)


def _distances(scores: NDArray[np.float32], metric: str) -> Floats:
    wide = scores.astype(np.float64)
    return np.sqrt(np.maximum(wide, 0.0)) if metric == "l2" else np.maximum(1.0 - wide, 0.0)
