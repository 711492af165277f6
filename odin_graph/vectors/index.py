"""One opened index: a flat FAISS index, searched exactly, also under a filter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.vectors.library import faiss
from odin_graph.vectors.metric import distances, prepared

Keys = NDArray[np.int64]
_SCANNED: Final = 0.25
"""Below this share of vectors that pass, those are copied out and searched alone; above, FAISS skips the others."""
_SPARE: Final = 8
"""Candidates beyond k, for ties and for the last digits of float32."""
_ROUNDING: Final = 1e-5
"""Of the largest score there can be, between FAISS's sums in float32 and ours in float64; more for long vectors."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """Vectors (n, d) by key, as an open FAISS index."""

    uri: str
    metric: str
    keys: Keys
    """(n,), sorted."""
    flat: Any
    """``faiss.IndexFlat``, row i of which is the vector of ``keys[i]``, of length 1 for cosine."""

    @property
    def dimensions(self) -> int:
        """The length d of a vector."""
        return int(self.flat.d)

    def vectors(self) -> NDArray[np.float32]:
        """The vectors (n, d) as the index holds them; a view, not to be written to."""
        n, d = len(self.keys), self.dimensions
        held: NDArray[np.float32] = faiss().rev_swig_ptr(self.flat.get_xb(), n * d).reshape(n, d)
        return held

    def search(self, queries: NDArray[Any], k: int, among: Keys | None) -> tuple[Keys, NDArray[np.float64]]:
        """The k nearest of each query (m, d): keys and distances (m, min(k, passing)), ties by key."""
        positions = self._passing(among)
        wanted = min(k, len(positions))
        keys = np.empty((len(queries), wanted), np.int64)
        away = np.empty((len(queries), wanted), np.float64)
        if wanted:
            for row, query in enumerate(prepared(queries, self.metric)):
                found = self._nearest(query, positions, wanted)
                exact = distances(query, self.vectors()[found], self.metric)
                first = np.lexsort((found, exact))[:wanted]
                keys[row], away[row] = self.keys[found[first]], exact[first]
        return keys, away

    def _passing(self, among: Keys | None) -> Keys:
        if among is None:
            return np.arange(len(self.keys))
        return np.flatnonzero(np.isin(self.keys, np.asarray(among, np.int64)))

    def _nearest(self, query: NDArray[np.float32], positions: Keys, k: int) -> Keys:
        """Positions that hold the k nearest for certain: more are asked for while the last may be a tie."""
        asked = min(k + _SPARE, len(positions))
        while True:
            found, scores = self._candidates(query, positions, asked)
            if asked == len(positions) or abs(float(scores[-1]) - float(scores[k - 1])) > self._margin(query):
                return found
            asked = min(asked * 4, len(positions))

    def _margin(self, query: NDArray[np.float32]) -> float:
        """How far a score may be off: a sum of d products is off by the size of its largest terms, not by its own."""
        length = float(np.linalg.norm(query.astype(np.float64)))
        size = (length + self._longest) ** 2 if self.metric == "l2" else length * self._longest
        return max(_ROUNDING, self.dimensions * float(np.finfo(np.float32).eps)) * size

    @cached_property
    def _longest(self) -> float:
        return float(np.sqrt(np.einsum("nd,nd->n", self.vectors(), self.vectors(), dtype=np.float64).max(initial=0.0)))

    def _candidates(self, query: NDArray[np.float32], positions: Keys, n: int) -> tuple[Keys, NDArray[np.float32]]:
        if len(positions) <= _SCANNED * len(self.keys):
            part = type(self.flat)(self.dimensions)
            part.add(self.vectors()[positions])
            scores, rows = part.search(query[None], n)
            return positions[rows[0]], scores[0]
        options = None
        if len(positions) < len(self.keys):
            selector = faiss().IDSelectorBatch(positions)
            options = faiss().SearchParameters(sel=selector)
        scores, rows = self.flat.search(query[None], n, params=options)
        return rows[0].astype(np.int64), scores[0]
