"""The k nearest, exactly, by reading the vectors themselves: FAISS's kernels over mapped rows, nothing to build.

A scan bounds what float32 may get wrong, keeps every vector that may still be among the k nearest, and computes those
again in float64: the answer, and the order of ties, is that of float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.errors import QueryError, ShapeError
from odin_graph.vectors.library import faiss, one_thread
from odin_graph.vectors.metric import distances, lengths_of, prepared

Keys = NDArray[np.int64]

BLOCK: Final = 65_536
"""Vectors that one thread scores at once."""
_DENSE: Final = 0.3
"""If more than this share of a block passes, all of it is scored: memory is read three times as fast in order."""
_ALONE: Final = 4_096
"""For fewer vectors, one thread finishes before another one has started."""
_SPARE: Final = 16
"""Roundings of a score beside the d of its sum: of the length, the quotient, the query."""
_EXACT: Final = 4_096
"""Vectors that are computed again at once."""
_LARGEST: Final = 1e18
"""Beyond it squares have no place in float32."""
_SMALL: Final = 1e-24
"""Squared lengths below it have lost digits in float32."""


@dataclass(frozen=True, eq=False)
class Part:
    """Vectors of one segment."""

    keys: Keys
    """(n,), sorted."""
    rows: NDArray[np.float32]
    """(n, d), mapped from a file; C-contiguous."""
    lengths: NDArray[np.float32]
    """The Euclidean lengths (n,)."""

    @classmethod
    def of(cls, keys: Keys, rows: NDArray[np.float32]) -> Self:
        """Vectors under sorted keys.

        Raises:
            ShapeError: A vector is of no finite length.
        """
        squares = np.empty(len(rows), np.float32)
        pointer = faiss().swig_ptr
        faiss().fvec_norms_L2sqr(pointer(squares), pointer(rows), rows.shape[1], len(rows))
        finite = np.isfinite(squares)
        if not finite.all():
            raise ShapeError(
                f"{(~finite).sum()} of {len(keys)} vectors hold NaN, infinity or numbers beyond 1e18, the first of key "
                f"{keys[~finite][0]}: they are near to nothing."
            )
        lengths = np.sqrt(squares)
        small = np.flatnonzero(squares < _SMALL)
        lengths[small] = lengths_of(rows[small])
        return cls(keys, rows, lengths)

    def positions(self, among: Keys | None) -> Keys | None:
        """The positions of the keys that pass (sorted, each once); None where all do."""
        if among is None:
            return None
        first, last = np.searchsorted(among, [self.keys[0], self.keys[-1] + 1])
        candidates = among[first:last]
        if self.keys[-1] - self.keys[0] == len(self.keys) - 1:  # without a gap, as images are that were stored together
            found = candidates - self.keys[0]
        else:
            found = np.searchsorted(self.keys, candidates)
            found = found[self.keys[found] == candidates]
        return None if len(found) == len(self.keys) else found


Block: TypeAlias = tuple[Part, int, Keys | None]
"""A part, where a block of it begins, and the positions in the part that pass; None for the whole block."""
Map: TypeAlias = Callable[[Callable[[Block], Any], Sequence[Block]], Iterable[Any]]


class Vectors:
    """All vectors of a set, by key.

    Args:
        parts: Of any order; no key is in two of them.
        metric: What near means.
        threads: Of a search.
    """

    def __init__(self, parts: Sequence[Part], metric: str, threads: int) -> None:
        self.parts = tuple(part for part in parts if len(part.keys))
        self.metric = metric
        self._threads = threads

    def __len__(self) -> int:
        return sum(len(part.keys) for part in self.parts)

    @property
    def dimensions(self) -> int:
        """The length d of a vector."""
        return int(self.parts[0].rows.shape[1])

    def search(self, queries: NDArray[Any], k: int, among: Keys | None) -> tuple[Keys, NDArray[np.float64]]:
        """The k nearest of each query (m, d): keys and distances (m, min(k, passing)), ties by key.

        Args:
            queries: Finite, of the vectors' length.
            k: At least 1.
            among: The keys that pass; None for all.

        Raises:
            QueryError: k is none.
            ShapeError: The queries are not.
        """
        rows = self.checked(queries, k)
        passing = self.passing(among)
        n = min(k, self.number(passing))
        keys, distance = np.empty((len(rows), n), np.int64), np.empty((len(rows), n))
        for at, query in enumerate(rows):
            keys[at], distance[at] = self.nearest(query, n, passing)
        return keys, distance

    def checked(self, queries: NDArray[Any], k: int) -> NDArray[Any]:
        """Queries as rows (m, d), if they can be searched with."""
        if k < 1:
            raise QueryError(f"k is the number of neighbors, at least 1, not {k}.")
        rows = np.atleast_2d(queries)
        if not self.parts:
            return rows
        if queries.ndim > 2 or rows.shape[1] != self.dimensions:
            raise ShapeError(f"The vectors have {self.dimensions} numbers, the queries have {queries.shape}.")
        if not (np.abs(rows) < _LARGEST).all():
            raise ShapeError("A query contains NaN, infinity or a number beyond 1e18, which has no neighbors.")
        return rows

    def passing(self, among: Keys | None) -> list[Keys | None]:
        """The positions that pass in each part; None where all do."""
        if among is not None and not (np.diff(among) > 0).all():
            among = np.unique(among)
        return [part.positions(among) for part in self.parts]

    def number(self, passing: Sequence[Keys | None]) -> int:
        """How many vectors pass."""
        return sum(len(part.keys) if at is None else len(at) for part, at in zip(self.parts, passing, strict=True))

    def nearest(self, query: NDArray[Any], k: int, passing: Sequence[Keys | None]) -> tuple[Keys, NDArray[np.float64]]:
        """The k nearest of one query (d,) among positions: keys and distances, fewer only where fewer pass."""
        check()
        number = self.number(passing)
        k = min(k, number)
        keys, distance = np.empty(0, np.int64), np.empty(0)
        if not k:
            return keys, distance
        query = query.astype(np.float32)
        prepared_query = self.scored(query)
        blocks = list(self._blocks(passing))
        with ExitStack() as stack:
            map_blocks: Map = map
            if len(blocks) > 1 and number > _ALONE:
                map_blocks = stack.enter_context(ThreadPoolExecutor(self._threads)).map
            scores = list(map_blocks(lambda block: self.score(prepared_query, *block), blocks))
        least = np.concatenate(
            [
                np.partition(block_scores, k - 1)[:k] if len(block_scores) > k else block_scores
                for block_scores in scores
            ]
        )
        bound = float(np.partition(least, k - 1)[k - 1])
        bound += 2 * self._error(bound)
        for (part, first, at), block_scores in zip(blocks, scores, strict=True):
            near = np.flatnonzero(block_scores <= bound)
            for start in range(0, len(near), _EXACT):
                check()
                chosen = near[start : start + _EXACT]
                rows = chosen + first if at is None else at[chosen]
                keys = np.concatenate([keys, part.keys[rows]])
                distance = np.concatenate([distance, distances(query, part.rows[rows], self.metric)])
                order = np.lexsort((keys, distance))[:k]
                keys, distance = keys[order], distance[order]
        return keys, distance

    def scored(self, query: NDArray[Any]) -> NDArray[np.float32]:
        """The query as `score` takes it: for products without its length, which changes nothing in their order."""
        found: NDArray[np.float32] = prepared(query[None], "l2" if self.metric == "l2" else "cosine")[0]
        return found

    def _blocks(self, passing: Sequence[Keys | None]) -> Iterator[Block]:
        for part, positions in zip(self.parts, passing, strict=True):
            for first in range(0, len(part.keys), BLOCK):
                if positions is None:
                    yield part, first, None
                    continue
                ends = np.searchsorted(positions, [first, first + BLOCK])
                at = positions[ends[0] : ends[1]]
                if len(at):
                    yield part, first, np.ascontiguousarray(at)

    def score(self, query: NDArray[np.float32], part: Part, first: int, at: Keys | None) -> NDArray[np.float32]:
        """Less is nearer: the squared distance, the negative product, or the negative cosine."""
        rows, library = part.rows[first : first + BLOCK], faiss()
        pointer, d = library.swig_ptr, part.rows.shape[1]
        if at is None or len(at) > _DENSE * len(rows):
            scores = np.empty(len(rows), np.float32)
            kernel = library.fvec_L2sqr_ny if self.metric == "l2" else library.fvec_inner_products_ny
            kernel(pointer(scores), pointer(query), pointer(rows), d, len(rows))
            places: Any = slice(first, first + len(rows))
            if at is not None:
                scores, places = scores[at - first], at
        else:
            scores, places = np.empty(len(at), np.float32), at
            kernel = library.fvec_L2sqr_by_idx if self.metric == "l2" else library.fvec_inner_products_by_idx
            with one_thread():
                kernel(pointer(scores), pointer(query), pointer(part.rows), pointer(at), d, 1, len(at))
        if self.metric == "l2":
            return scores
        if self.metric == "cosine":
            lengths = part.lengths[places]
            if not query.any():
                return np.where(lengths > 0, np.float32(0), np.float32(-1))  # zero vectors are equal to it
            scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
        return -scores

    def _error(self, score: float) -> float:
        """How far float32 may put a score off: of a sum of d products, by the size of its terms, not by its own."""
        each = (self.dimensions + _SPARE) * float(np.finfo(np.float32).eps)
        tiny = float(np.finfo(np.float32).tiny)
        if self.metric == "l2":
            return each * score + tiny
        return each * (1.0 if self.metric == "cosine" else max(float(part.lengths.max()) for part in self.parts)) + tiny
