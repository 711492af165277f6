"""Build, keep and open indexes. A file is named by its digest; what is missing or damaged is built again."""

from __future__ import annotations

import hashlib
import io
import os
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
from odin_graph.errors import QueryError, ShapeError, StoreError
from odin_graph.vectors.index import Keys, VectorIndex
from odin_graph.vectors.library import faiss
from odin_graph.vectors.metric import check_metric, prepared


class VectorStore:
    """The indexes of one workspace, below the arrays' root.

    Args:
        arrays: Where the files are.
        budget: Threads for FAISS.
    """

    def __init__(self, arrays: ArrayStore, budget: Budget) -> None:
        self._arrays = arrays
        self._budget = budget
        self._opened = lru_cache(maxsize=8)(self._open)

    def build(self, keys: Keys, vectors: NDArray[Any], metric: str = "cosine") -> str:
        """Index vectors (n, d) under sorted keys (n,) and keep the index; returns its uri.

        Raises:
            ShapeError: The shapes do not fit, or a vector holds NaN or infinity.
        """
        check_metric(metric)
        if vectors.ndim != 2 or len(vectors) != len(keys) or not vectors.size:
            raise ShapeError(f"An index takes vectors (n, d) and n keys, not {vectors.shape} and {keys.shape}.")
        if (np.diff(keys) <= 0).any():
            raise ShapeError("An index takes its vectors by sorted keys, each once: sort them first.")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise ShapeError(
                f"{(~finite).sum()} of {len(keys)} vectors hold NaN or infinity, the first of key {keys[~finite][0]}."
            )
        library = faiss()
        flat = (library.IndexFlatL2 if metric == "l2" else library.IndexFlatIP)(vectors.shape[1])
        flat.add(prepared(vectors, metric))
        out = io.BytesIO()
        held = {"keys": np.asarray(keys, np.int64), "metric": np.array(metric), "index": library.serialize_index(flat)}
        np.savez(out, allow_pickle=False, **held)
        uri = f"indexes/{hashlib.sha256(out.getvalue()).hexdigest()}.npz"
        self._arrays.raw.write(uri, out.getvalue())
        return uri

    def open(self, uri: str) -> VectorIndex:
        """An index that was built before; kept open.

        Raises:
            StoreError: It is missing, cut short or altered: build it again.
        """
        return self._opened(uri)

    def search(
        self, index: VectorIndex, queries: NDArray[Any], k: int, among: Keys | None = None
    ) -> tuple[Keys, NDArray[np.float64]]:
        """The k nearest of each query, exactly, among the images that pass.

        Args:
            index: An open index.
            queries: (m, d).
            k: At least 1.
            among: Keys of the images that pass; None for all. Those without a vector are not found.

        Returns:
            Keys and distances, each (m, min(k, passing)), nearest first, ties by key.
        """
        if k < 1:
            raise QueryError(f"k is the number of neighbours, at least 1, not {k}.")
        if queries.ndim > 2 or queries.shape[-1] != index.dimensions:
            raise ShapeError(
                f"The index holds vectors of {index.dimensions} numbers, the queries have {queries.shape}."
            )
        if not np.isfinite(queries).all():
            raise ShapeError("A query holds NaN or infinity, which is near to nothing.")
        # OpenMP's threads stay behind at a fork, and a child that called for them would wait for ever.
        faiss().omp_set_num_threads(1 if _forked else self._budget.threads)
        return index.search(np.atleast_2d(queries), k, among)

    def _open(self, uri: str) -> VectorIndex:
        data = self._arrays.raw.read(uri)
        if f"indexes/{hashlib.sha256(data).hexdigest()}.npz" != uri:
            raise StoreError(f"The index {uri} was altered or cut short: build it again.")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            faiss().omp_set_num_threads(1 if _forked else self._budget.threads)
            flat = faiss().deserialize_index(held["index"])
            return VectorIndex(uri, str(held["metric"]), held["keys"], flat)


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)
