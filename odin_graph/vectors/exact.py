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
from odin_graph.errors import ShapeError
from odin_graph.vectors.library import faiss
from odin_graph.vectors.metric import distances, prepared

Keys = NDArray[np.int64]

_BLOCK: Final = 65_536
"""Vectors that one thread scores at once."""
_DENSE: Final = 0.3
"""Where more than this share of a block passes, all of it is scored: in order, memory is read three times as fast."""
_ALONE: Final = 4_096
"""Of fewer vectors one thread is done before another has begun."""
_SPARE: Final = 16
"""Roundings of a score beside the d of its sum: of the length, the quotient, the query."""


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
        return cls(keys, rows, np.sqrt(squares))

    def positions(self, among: Keys | None) -> Keys | None:
        """Where the keys that pass (sorted, each once) stand; None where all do."""
        if among is None:
            return None
        first, last = np.searchsorted(among, [self.keys[0], self.keys[-1] + 1])
        here = among[first:last]
        if self.keys[-1] - self.keys[0] == len(self.keys) - 1:  # without a gap, as images are that were stored together
            found = here - self.keys[0]
        else:
            found = np.searchsorted(self.keys, here)
            found = found[self.keys[found] == here]
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
        """
        wanted = among if among is None or (np.diff(among) > 0).all() else np.unique(among)
        passing = [part.positions(wanted) for part in self.parts]
        n_passing = sum(len(part.keys) if at is None else len(at) for part, at in zip(self.parts, passing, strict=True))
        n = min(k, n_passing)
        keys, away = np.empty((len(queries), n), np.int64), np.empty((len(queries), n))
        blocks = list(self._blocks(passing)) if n else []
        with ExitStack() as stack:
            every: Map = map
            if len(blocks) > 1 and n_passing > _ALONE:
                every = stack.enter_context(ThreadPoolExecutor(self._threads)).map
            for row, query in enumerate(prepared(queries, self.metric) if n else ()):
                check()
                keys[row], away[row] = self._nearest(query, blocks, n, every)
        return keys, away

    def _nearest(
        self, query: NDArray[np.float32], blocks: Sequence[Block], k: int, every: Map
    ) -> tuple[Keys, NDArray[np.float64]]:
        scored = list(every(lambda block: self._score(query, *block), blocks))
        least = np.concatenate([np.partition(scores, k - 1)[:k] if len(scores) > k else scores for scores in scored])
        bound = float(np.partition(least, k - 1)[k - 1])
        bound += 2 * self._error(query, bound)
        found, exact = [], []
        for (part, first, at), scores in zip(blocks, scored, strict=True):
            near = np.flatnonzero(scores <= bound)
            if len(near):
                rows = near + first if at is None else at[near]
                found.append(part.keys[rows])
                exact.append(distances(query, prepared(part.rows[rows], self.metric), self.metric))
        keys, away = np.concatenate(found), np.concatenate(exact)
        order = np.lexsort((keys, away))[:k]
        return keys[order], away[order]

    def _blocks(self, passing: Sequence[Keys | None]) -> Iterator[Block]:
        for part, positions in zip(self.parts, passing, strict=True):
            for first in range(0, len(part.keys), _BLOCK):
                if positions is None:
                    yield part, first, None
                    continue
                ends = np.searchsorted(positions, [first, first + _BLOCK])
                at = positions[ends[0] : ends[1]]
                if len(at):
                    yield part, first, np.ascontiguousarray(at)

    def _score(self, query: NDArray[np.float32], part: Part, first: int, at: Keys | None) -> NDArray[np.float32]:
        """Less is nearer: the squared distance, the negative product, or the negative cosine."""
        rows, library = part.rows[first : first + _BLOCK], faiss()
        pointer, d = library.swig_ptr, part.rows.shape[1]
        if at is None or len(at) > _DENSE * len(rows):
            scores = np.empty(len(rows), np.float32)
            whole = library.fvec_L2sqr_ny if self.metric == "l2" else library.fvec_inner_products_ny
            whole(pointer(scores), pointer(query), pointer(rows), d, len(rows))
            places: Any = slice(first, first + len(rows))
            if at is not None:
                scores, places = scores[at - first], at
        else:
            scores, places = np.empty(len(at), np.float32), at
            some = library.fvec_L2sqr_by_idx if self.metric == "l2" else library.fvec_inner_products_by_idx
            some(pointer(scores), pointer(query), pointer(part.rows), pointer(at), d, 1, len(at))
        if self.metric == "l2":
            return scores
        if self.metric == "cosine":
            lengths = part.lengths[places]
            scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
        return -scores

    def _error(self, query: NDArray[np.float32], score: float) -> float:
        """How far float32 may put a score off: of a sum of d products, by the size of its terms, not by its own."""
        each = (self.dimensions + _SPARE) * float(np.finfo(np.float32).eps)
        if self.metric == "l2":
            return each * score + float(np.finfo(np.float32).tiny)
        length = float(np.linalg.norm(query.astype(np.float64)))
        longest = max(float(part.lengths.max()) for part in self.parts) if self.metric == "inner-product" else 1.0
        return each * length * longest
