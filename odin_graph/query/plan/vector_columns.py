"""Columns that are computed from the vectors of all rows: clusters, near duplicates, outliers. An extension point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import is_number, whole
from odin_graph.errors import QueryError
from odin_graph.progress import progress_bar
from odin_graph.registry import Registry
from odin_graph.vectors.graph import nearest_of_each, neighbors_of_each, pairs_within
from odin_graph.vectors.metric import prepared

_NEIGHBORS: Final = 20
_PAIRS: Final = 2_000_000
"""Pairs of near duplicates after which they are joined into groups: there may be as many as n squared."""
_TINY: Final = 1e-10
"""Added to mean reachability distances, so that copies have a density: scikit-learn's, too."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a step beside the vectors."""

    k: int | None
    within: float | None
    seed: int
    metric: str


class VectorColumn(Protocol):
    """Computes a column. An entry of `VECTOR_COLUMNS` is an instance."""

    type: str
    """``int`` or ``float``."""

    def check(self, settings: Settings) -> None:
        """Raise `QueryError` if the settings do not fit."""

    def __call__(self, vectors: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
        """One value for each vector (n, d), in the order of the images' keys; of integers, -1 is a missing one."""


VECTOR_COLUMNS: Registry[VectorColumn] = Registry("vector column", "odin_graph.vector_columns")


class Clusters:
    """k-means (Lloyd, 1982; seeded as Arthur and Vassilvitskii, 2007), numbered by size from 0.

    Of directions where the metric is cosine.
    """

    type = "int"

    def check(self, settings: Settings) -> None:
        """See `VectorColumn`."""
        if (number := whole(settings.k)) is None or number < 1:
            raise QueryError(f"cluster() takes a number of clusters, at least 1, not k={settings.k!r}.")
        if (number := whole(settings.seed)) is None or not 0 <= number < 2**32:
            raise QueryError(f"cluster() takes a seed from 0 to 4294967295, not {settings.seed!r:.80}.")

    def __call__(self, vectors: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
        """See `VectorColumn`."""
        from sklearn.cluster import KMeans

        rows = prepared(vectors, settings.metric)
        k = min(settings.k or 1, len(np.unique(rows, axis=0)))
        found = KMeans(k, n_init=1, random_state=settings.seed).fit_predict(rows)
        return _by_size(found)


class Duplicates:
    """Groups of images each of which is near another one of its group; -1 for those that are near none."""

    type = "int"

    def check(self, settings: Settings) -> None:
        """See `VectorColumn`."""
        if not is_number(settings.within) or not (settings.within or 0) >= 0:
            raise QueryError(f"near_duplicates() takes a distance, at least 0, not within={settings.within!r}.")

    def __call__(self, vectors: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
        """See `VectorColumn`."""
        n = len(vectors)
        group, edges, waiting = np.arange(n), [], 0
        with progress_bar("near duplicates", n, show=True) as done:
            for left, right in pairs_within(vectors, settings.within or 0.0, settings.metric, done):
                apart = group[left] != group[right]
                edges.append((left[apart], right[apart]))
                waiting += int(apart.sum())
                if waiting > _PAIRS:
                    group, edges, waiting = _joined(group, edges), [], 0
        group = _joined(group, edges)
        several = np.bincount(group)[group] > 1
        found = np.full(n, -1, np.int64)
        found[several] = _by_size(group[several])
        return found


class Outliers:
    """The local outlier factor (Breunig, Kriegel, Ng and Sander, 2000, definition 7): about 1 among one's like."""

    type = "float"

    def check(self, settings: Settings) -> None:
        """See `VectorColumn`."""
        if settings.k is not None and ((number := whole(settings.k)) is None or number < 1):
            raise QueryError(f"outliers() takes a number of neighbors, at least 1, not k={settings.k!r}.")

    def __call__(self, vectors: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
        """See `VectorColumn`."""
        with progress_bar("outliers", len(vectors), show=True) as done:
            near, distance = neighbors_of_each(vectors, settings.k or _NEIGHBORS, settings.metric, done)
        if not near.shape[1]:
            return np.ones(len(vectors))
        reach = np.maximum(distance, distance[near, -1])
        density = 1.0 / (reach.mean(axis=1) + _TINY)
        factor: NDArray[np.float64] = density[near].mean(axis=1) / density
        return factor


class Uniqueness:
    """The distance to the nearest other image: 0 for a copy."""

    type = "float"

    def check(self, settings: Settings) -> None:
        """See `VectorColumn`."""

    def __call__(self, vectors: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
        """See `VectorColumn`."""
        with progress_bar("uniqueness", len(vectors), show=True) as done:
            if len(vectors) < 2:
                return np.full(len(vectors), np.inf)
            return nearest_of_each(vectors, settings.metric, done)


def _joined(group: NDArray[np.int64], edges: Sequence[tuple[Any, Any]]) -> NDArray[np.int64]:
    """The groups (n,), numbered from 0, after joining those that edges connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(group)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    left, right = (np.concatenate(side) for side in zip((np.arange(n), first[place]), *edges, strict=True))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(n, n))
    joined: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return joined


def _by_size(group: NDArray[Any]) -> NDArray[np.int64]:
    """Number the groups from 0 by size, the largest first; ties by their first member."""
    _, first, place, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    numbered: NDArray[np.int64] = rank[place]
    return numbered


CLUSTERS, DUPLICATES, OUTLIERS, UNIQUENESS = Clusters(), Duplicates(), Outliers(), Uniqueness()
