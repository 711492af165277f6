"""Neighbors that are nearly always the nearest: only lists of alike vectors are scanned, as many as the query needs.

How many that is differs by query, filter and k: one that lies far from all vectors, or between them, has its neighbors
in many lists. So each search asks a sample of the vectors that pass: its nearest are found by scanning it, and as many
lists are taken, nearest first, as hold the promised share of those. By exchangeability a share of j / (t + 1) of all
vectors that are as near as the t nearest of the sample is then expected in the lists that hold j of them (the quantile
of split conformal prediction, Vovk, Gammerman and Shafer, 2005), and of the k nearest, which are fewer and nearer, no
less. Where that needs many lists, or the sample is too small to say, all that passes is scanned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.vectors.exact import BLOCK, Keys, Part, Vectors
from odin_graph.vectors.library import faiss, threads
from odin_graph.vectors.metric import prepared

KIND: Final = "lists"
"""The kind of today's indexes in the graph: an index of another kind is built anew."""
SAMPLED: Final = 32
"""One vector in so many is in the sample."""
_NEAREST: Final = 39
"""Vectors of the sample by which a query is judged, at least; more for a recall near 1, or a large k. Of 39, 38 are
95 % in expectation."""
_SHARE: Final = 4
"""Among the vectors of a sample that pass, at most one in so many may be called the nearest."""
_WIDE: Final = 0.25
"""If lists contain more than this share of the vectors, everything is scanned: reading in order is faster."""
_PER_LIST: Final = 64
"""Vectors that a center is found by."""


@dataclass(frozen=True, eq=False)
class SegmentIndex:
    """The vectors of one segment, by the center that each is nearest to."""

    centers: NDArray[np.float32]
    """(lists, d), of the prepared vectors."""
    place: NDArray[np.int32]
    """The list (n,) of each row of the segment."""
    sample: Part
    """Some of the rows, under their positions in the segment."""

    @classmethod
    def build(cls, part: Part, metric: str, done: Callable[[int], None] = lambda _: None) -> SegmentIndex:
        """Index the vectors of a segment; ``done`` is called with the number of vectors that were placed."""
        library, n, d = faiss(), len(part.keys), part.rows.shape[1]
        lists = lists_of(n)
        draw = np.sort(np.random.default_rng(1).choice(n, min(n, _PER_LIST * lists), replace=False))
        on_gpus = bool(getattr(library, "get_num_gpus", int)())
        means = library.Kmeans(d, lists, niter=10, seed=0, min_points_per_centroid=1, gpu=on_gpus)
        with threads():
            means.train(prepared(part.rows[draw], metric))
            place = np.empty(n, np.int32)
            for start in range(0, n, BLOCK):
                check()
                block = prepared(part.rows[start : start + BLOCK], metric)
                place[start : start + len(block)] = means.index.search(block, 1)[1][:, 0]
                done(len(block))
        return cls.of(part, np.ascontiguousarray(means.centroids), place)

    @classmethod
    def of(cls, part: Part, centers: NDArray[np.float32], place: NDArray[np.int32]) -> SegmentIndex:
        """The index of a segment whose vectors were placed before."""
        n = len(part.keys)
        drawn = np.sort(np.random.default_rng(0).choice(n, -(-n // SAMPLED), replace=False))
        return cls(centers, place, Part.of(drawn, np.ascontiguousarray(part.rows[drawn])))

    @cached_property
    def sizes(self) -> Keys:
        """How many vectors each list holds."""
        return np.bincount(self.place, minlength=len(self.centers)).astype(np.int64)

    @cached_property
    def _members(self) -> Keys:
        """The rows of the segment, list after list."""
        return np.argsort(self.place, kind="stable")

    @cached_property
    def _ends(self) -> Keys:
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def rows(self, lists: Keys) -> Keys:
        """The rows of the segment in some lists, rising."""
        parts = [self._members[self._ends[at] : self._ends[at + 1]] for at in lists]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def lists_of(n: int) -> int:
    """How many lists n vectors are put into."""
    return max(1, math.isqrt(n))


@dataclass(frozen=True, eq=False)
class Approximate:
    """Vectors with an index of each of their segments."""

    vectors: Vectors
    indexes: tuple[SegmentIndex, ...]
    """In the order of the parts."""

    def search(
        self, queries: NDArray[Any], k: int, among: Keys | None, recall: float
    ) -> tuple[Keys, NDArray[np.float64], str]:
        """Neighbors as `Vectors.search` gives them, some of which may not be the nearest; and how they were found.

        Every neighbor passes, and its distance is that of its own vector.

        Args:
            queries: (m, d), finite.
            k: At least 1.
            among: The keys that pass; None for all.
            recall: The share of the k nearest that is expected to be found.

        Raises:
            QueryError: k is none.
            ShapeError: The queries are not.
        """
        vectors = self.vectors
        rows = vectors.checked(queries, k)
        passing = vectors.passing(among)
        n = min(k, vectors.number(passing))
        keys, distance, how = np.empty((len(rows), n), np.int64), np.empty((len(rows), n)), "nothing passes"
        for at, query in enumerate(rows if n else ()):
            chosen, how = self._choose(query, n, passing, recall)
            searched = passing if chosen is None else self._in_lists(chosen, passing)
            if vectors.number(searched) < n:
                searched, how = passing, "scanned, since the lists hold too few: exact"
            keys[at], distance[at] = vectors.nearest(query, n, searched)
        return keys, distance, how

    def _choose(
        self, query: NDArray[Any], k: int, passing: Sequence[Keys | None], recall: float
    ) -> tuple[Keys | None, str]:
        """The lists to look into, numbered through all segments; None for a scan of all that passes. And why."""
        prepared_query = self.vectors.scored(query)
        scores, sample_lists = self._sampled(prepared_query, passing)
        judges = max(
            _NEAREST, math.ceil(2 * k / SAMPLED), math.ceil(recall / (1 - recall)) if recall < 1 else len(sample_lists)
        )
        if judges * _SHARE > len(sample_lists) or not prepared_query.any():
            return None, f"scanned, since {len(sample_lists):,} vectors of the sample pass, which say too little: exact"
        order = self._by_nearness(prepared_query)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        wanted = min(judges, math.ceil(recall * (judges + 1)))
        ranks = rank[sample_lists[np.argpartition(scores, judges - 1)[:judges]]]
        chosen = order[: int(np.partition(ranks, wanted - 1)[wanted - 1]) + 1]
        sizes = np.concatenate([index.sizes for index in self.indexes])
        share = float(sizes[chosen].sum() / sizes.sum())
        where = f"{len(chosen):,} of {len(order):,} lists"
        if share > _WIDE:
            return None, f"scanned, since the neighbors are in {where}: exact"
        return np.sort(chosen), (
            f"looked into {where} ({share:.1%} of the vectors), which hold {(ranks < len(chosen)).sum()} of the "
            f"{judges} nearest of a sample of {len(sample_lists):,}: a recall of {recall:.0%} is expected"
        )

    def _sampled(
        self, prepared_query: NDArray[np.float32], passing: Sequence[Keys | None]
    ) -> tuple[NDArray[np.float32], Keys]:
        """The scores of the sample's vectors that pass, and the list of each."""
        scores, lists, first = [], [], 0
        for index, at in zip(self.indexes, passing, strict=True):
            drawn = index.sample.keys
            passes = np.ones(len(drawn), bool) if at is None else np.isin(drawn, at, assume_unique=True)
            blocks = range(0, len(drawn), BLOCK)
            scores.append(
                np.concatenate([self.vectors.score(prepared_query, index.sample, at, None) for at in blocks])[passes]
            )
            lists.append(index.place[drawn[passes]] + first)
            first += len(index.centers)
        return np.concatenate(scores), np.concatenate(lists).astype(np.int64)

    def _by_nearness(self, prepared_query: NDArray[np.float32]) -> Keys:
        """All lists, that with the nearest center first."""
        centers = np.concatenate([index.centers for index in self.indexes])
        product = self.vectors.metric == "inner-product"
        distance = -(centers @ prepared_query) if product else ((centers - prepared_query) ** 2).sum(axis=1)
        return np.argsort(distance, kind="stable")

    def _in_lists(self, chosen: Keys, passing: Sequence[Keys | None]) -> list[Keys | None]:
        """The positions of each part that are in those lists and pass."""
        found: list[Keys | None] = []
        first = 0
        for index, at in zip(self.indexes, passing, strict=True):
            end = first + len(index.centers)
            rows = index.rows(chosen[(chosen >= first) & (chosen < end)] - first)
            found.append(rows if at is None else np.intersect1d(rows, at, assume_unique=True))
            first = end
        return found
