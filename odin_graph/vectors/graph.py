"""The nearest neighbors of each vector among the others: the base of clusters, near duplicates and outliers."""

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
_SHORT: Final = 64
"""Numbers of a shortened vector."""
_DRAWN: Final = 4_096
"""Vectors whose longest directions are found."""
_FEW: Final = 2_000
"""Pairs of a block that are checked one by one; for more, the whole vectors are multiplied."""
_VAIN: Final = 16
"""Blocks in which shortened vectors excluded nothing, after which they are not used any more."""
DISTANCES: Final = ("cosine", "l2")


def neighbors_of_each(
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
    distance = _apart(vectors, np.repeat(np.arange(n), k), positions.reshape(-1), metric).reshape(n, k)
    order = np.argsort(distance, axis=1, kind="stable")
    return np.take_along_axis(positions, order, axis=1), np.take_along_axis(distance, order, axis=1)


def nearest_of_each(
    vectors: NDArray[Any], metric: str, done: Callable[[int], None] = lambda _: None
) -> NDArray[np.float64]:
    """The distance (n,) of each of n >= 2 vectors to the nearest other one; half the products of all with all."""
    rows, _ = _rows(vectors, metric)
    n = len(rows)
    product_of = _Products(rows, metric)
    best, position = np.full(n, -np.inf, np.float32), np.zeros(n, np.int64)
    for first, second in _blocks(n, done):
        product = product_of(first, second)
        if first == second:
            np.fill_diagonal(product, -np.inf)
        # Positions are searched only in rows with a better product, which are fewer with each block.
        maximum = product.max(axis=1)
        better = np.flatnonzero(maximum > best[first : first + len(maximum)])
        best[first + better] = maximum[better]
        position[first + better] = product[better].argmax(axis=1) + second
        if first != second:
            maximum = product.max(axis=0)
            better = np.flatnonzero(maximum > best[second : second + len(maximum)])
            best[second + better] = maximum[better]
            position[second + better] = product[:, better].argmax(axis=0) + first
    return _apart(vectors, np.arange(n), position, metric)


def pairs_within(
    vectors: NDArray[Any], within: float, metric: str, done: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[Keys, Keys]]:
    """Pairs (left < right) of positions whose vectors are at most so far from each other.

    Half the products of all with all, by float32; what those leave open is settled by float64. Of long vectors
    shortened ones are compared first, which are no further apart: few pairs are left of most.
    """
    rows, scale = _rows(vectors, metric)
    longest = float(np.einsum("ij,ij->i", rows, rows).max(initial=0.0))
    slack = (rows.shape[1] + 16) * float(np.finfo(np.float32).eps) * max(longest, 1e-30)
    least = -((within * scale) ** 2) / 2 if metric == "l2" else 1.0 - within
    whole = _Products(rows, metric)
    rough = _Products(_shortened(rows), metric) if rows.shape[1] >= 2 * _SHORT and len(rows) > _BLOCK else None
    vain = 0
    for first, second in _blocks(len(rows), done):
        left, right, undecided = np.empty(0, np.int64), np.empty(0, np.int64), None
        if rough is not None:
            left, right, _ = _reaching(rough(first, second), least - slack, first == second, _FEW)
            vain += len(left) >= _FEW
            if vain >= _VAIN:
                rough = None
        if rough is None or len(left) >= _FEW:
            left, right, score = _reaching(whole(first, second), least - slack, first == second)
            undecided = np.flatnonzero(score < least + slack)
        left, right = left + first, right + second
        kept = np.ones(len(left), bool)
        at = slice(None) if undecided is None else undecided
        kept[at] = _apart(vectors, left[at], right[at], metric) <= within
        yield left[kept], right[kept]


def _reaching(
    product: NDArray[np.float32], least: float, diagonal: bool, enough: int | None = None
) -> tuple[Keys, Keys, NDArray[np.float32]]:
    """Rows, columns and scores of at least ``least``, above the diagonal; not all where there are enough."""
    if diagonal:
        product[np.tril_indices(len(product))] = -np.inf
    near = np.flatnonzero(product.max(axis=1) >= least)
    left, right = np.nonzero(product[near[:enough]] >= least)
    return near[left], right, product[near[left], right]


def _shortened(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows along their longest directions, and the length of the rest: no distance becomes larger."""
    from scipy.linalg import eigh  # a third of a second that opening a workspace need not wait for

    sample = rows[:: max(1, len(rows) // _DRAWN)].astype(np.float64)
    d = rows.shape[1]
    _, axes = eigh(sample.T @ sample, subset_by_index=(d - _SHORT, d - 1))
    short = np.empty((len(rows), _SHORT + 1), np.float32)
    for start in range(0, len(rows), _EXACT):
        part = rows[start : start + _EXACT].astype(np.float64)
        along = part @ axes
        rest = np.sqrt(np.maximum((part * part).sum(axis=1) - (along * along).sum(axis=1), 0))
        short[start : start + len(part)] = np.column_stack([along, rest])
    return short


def _blocks(n: int, done: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """The beginnings of the blocks on and above the diagonal."""
    for first in range(0, n, _BLOCK):
        for second in range(first, n, _BLOCK):
            check()
            yield first, second
        done(min(_BLOCK, n - first))


class _Products:
    """Blocks of scores, of which more is nearer: products, or minus half the squared distances.

    Each block overwrites the one before.
    """

    def __init__(self, rows: NDArray[np.float32], metric: str) -> None:
        self._rows = rows
        self._half = np.einsum("ij,ij->i", rows, rows) / 2 if metric == "l2" else None
        self._buffer = np.empty((_BLOCK, _BLOCK), np.float32)

    def __call__(self, first: int, second: int) -> NDArray[np.float32]:
        part, other = (self._rows[start : start + _BLOCK] for start in (first, second))
        found: NDArray[np.float32] = np.matmul(part, other.T, out=self._buffer[: len(part), : len(other)])
        if self._half is not None:
            found -= self._half[first : first + len(part), None]
            found -= self._half[second : second + len(other)]
        return found


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
        raise QueryError(f"metric= is cosine or l2 here, not {metric!r}: an inner product is not a distance.")


def _rows(vectors: NDArray[Any], metric: str) -> tuple[NDArray[np.float32], float]:
    """Vectors whose products give distances, and their scale: directions, or scaled vectors less their mean.

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
