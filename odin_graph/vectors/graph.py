"""The nearest neighbours of each vector among the others: what clusters, near duplicates and outliers are told by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.vectors.library import faiss, threads
from odin_graph.vectors.metric import distances, with_directions

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK: Final = 2_048
"""Vectors of a side of a block of the product of all with all: it stays in the processor's cache."""
_EXACT: Final = 8_192
"""Pairs whose distances are computed at once."""
DISTANCES: Final = ("cosine", "l2")


def neighbours_of_each(
    vectors: NDArray[Any], k: int, metric: str, done: Callable[[int], None] = lambda _: None
) -> tuple[Keys, Floats]:
    """The k nearest others of each of n vectors: positions and distances (n, min(k, n - 1)), nearest first.

    Which they are is exact but for float32's rounding, their distances are of float64; n squared products.
    """
    rows, _ = _rows(vectors, metric)
    n = len(rows)
    k = min(k, n - 1)
    positions = np.empty((n, k), np.int64)
    for start in range(0, n if k else 0, _BLOCK):
        check()
        part = rows[start : start + _BLOCK]
        with threads():
            _, found = faiss().knn(part, rows, k + 1, _measure(metric))
        own = found == np.arange(start, start + len(part))[:, None]
        own[~own.any(axis=1), -1] = True  # among many alike the vector itself may be left out: then the last goes
        positions[start : start + len(part)] = found[~own].reshape(len(part), k)
        done(len(part))
    away = _apart(vectors, np.repeat(np.arange(n), k), positions.reshape(-1), metric).reshape(n, k)
    order = np.argsort(away, axis=1, kind="stable")
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(away, order, axis=1)


def nearest_of_each(
    vectors: NDArray[Any], metric: str, done: Callable[[int], None] = lambda _: None
) -> NDArray[np.float64]:
    """The distance (n,) of each of n >= 2 vectors to the nearest other one; half the products of all with all."""
    rows, _ = _rows(vectors, metric)
    n = len(rows)
    best, place = np.full(n, -np.inf, np.float32), np.zeros(n, np.int64)
    for first, second, product in _products(rows, metric, done):
        if first == second:
            np.fill_diagonal(product, -np.inf)
        # The place is looked for where there is a better one alone: which are fewer with each block.
        most = product.max(axis=1)
        better = np.flatnonzero(most > best[first : first + len(most)])
        best[first + better] = most[better]
        place[first + better] = product[better].argmax(axis=1) + second
        if first != second:
            most = product.max(axis=0)
            better = np.flatnonzero(most > best[second : second + len(most)])
            best[second + better] = most[better]
            place[second + better] = product[:, better].argmax(axis=0) + first
    return _apart(vectors, np.arange(n), place, metric)


def pairs_within(
    vectors: NDArray[Any], within: float, metric: str, done: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Keys, Keys]]:
    """Pairs (left < right) of positions whose vectors are at most so far from each other.

    Half the products of all with all, by float32; what those leave open is settled by float64.
    """
    rows, scale = _rows(vectors, metric)
    lengths = float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
    slack = (rows.shape[1] + 16) * float(np.finfo(np.float32).eps) * max(lengths, 1e-30)
    least = -((within * scale) ** 2) / 2 if metric == "l2" else 1.0 - within
    for first, second, product in _products(rows, metric, done):
        if first == second:
            product[np.tril_indices(len(product))] = -np.inf
        near = np.flatnonzero(product.max(axis=1) >= least - slack)
        if not len(near):
            continue
        left, right = np.nonzero(product[near] >= least - slack)
        score = product[near[left], right]
        left, right = near[left] + first, right + second
        open_ = np.flatnonzero(score < least + slack)
        kept = np.ones(len(left), bool)
        kept[open_] = _apart(vectors, left[open_], right[open_], metric) <= within
        yield left[kept], right[kept]


def _products(
    rows: NDArray[np.float32], metric: str, done: Callable[[int], None]
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Blocks on and above the diagonal, of which more is nearer: the product, or minus half the squared distance."""
    n = len(rows)
    half = np.einsum("ij,ij->i", rows, rows) / 2 if metric == "l2" else None
    buffer = np.empty((_BLOCK, _BLOCK), np.float32)
    for first in range(0, n, _BLOCK):
        part = rows[first : first + _BLOCK]
        for second in range(first, n, _BLOCK):
            check()
            other = rows[second : second + _BLOCK]
            product = np.matmul(part, other.T, out=buffer[: len(part), : len(other)])
            if half is not None:
                product -= half[first : first + len(part), None]
                product -= half[second : second + len(other)]
            yield first, second, product
        done(len(part))


def _apart(vectors: NDArray[Any], left: Keys, right: Keys, metric: str) -> Floats:
    """The distances of pairs, in float64."""
    found = np.empty(len(left))
    for start in range(0, len(left), _EXACT):
        part = slice(start, start + _EXACT)
        found[part] = distances(vectors[left[part]], vectors[right[part]], metric)
    return found


def check_distance(metric: str) -> None:
    """Raise `QueryError` for a metric that is no distance between two vectors."""
    if metric not in DISTANCES:
        raise QueryError(f"metric= is cosine or l2 here, not {metric!r}: an inner product is no distance.")


def _rows(vectors: NDArray[Any], metric: str) -> tuple[NDArray[np.float32], float]:
    """What products tell distances by, and the scale of those: directions, or vectors less their mean, none long.

    The mean and the scale change nothing in the order of distances, and save digits.
    """
    check_distance(metric)
    if metric == "cosine":
        return with_directions(vectors)[0], 1.0
    rows = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = 1.0 / float(np.abs(rows).max(initial=0.0) or 1.0)
    return np.ascontiguousarray(rows * scale, dtype=np.float32), scale


def _measure(metric: str) -> int:
    return int(faiss().METRIC_L2 if metric == "l2" else faiss().METRIC_INNER_PRODUCT)
