"""The vectors of one workspace, opened from their segments, and the files of the indexes over them."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentInfo
from odin_graph.config import Budget
from odin_graph.errors import ShapeError, StoreError
from odin_graph.vectors.approximate import SegmentIndex
from odin_graph.vectors.exact import Keys, Part, Vectors
from odin_graph.vectors.metric import check_metric

_OPEN: Final = 64
"""Segments that are kept open; what they map is the system's to drop."""


class VectorStore:
    """The vectors of one workspace.

    Args:
        arrays: Where the segments are.
        budget: Threads of a search.
    """

    def __init__(self, arrays: ArrayStore, budget: Budget) -> None:
        self._arrays = arrays
        self._budget = budget
        self.scans: Counter[str] = Counter()
        """Searches that an index would have served, by the id of that index: it pays once there were many."""
        self._part = lru_cache(maxsize=_OPEN)(self._open)
        self.open_index = lru_cache(maxsize=_OPEN)(self._open_index)

    def open(self, segments: Sequence[SegmentInfo], metric: str = "cosine") -> Vectors:
        """The vectors of segments of rows (n, d), float32; no key may be in two of them.

        Raises:
            ShapeError: They differ in length, or a vector holds NaN or infinity.
            UnknownNameError: There is no such metric.
        """
        check_metric(metric)
        if len(lengths := {info.shape for info in segments}) > 1:
            raise ShapeError(f"The vectors of {segments[0].array} differ in length: {sorted(lengths)}.")
        return Vectors([self._part(info) for info in segments if info.rows], metric, self._budget.threads)

    def search(
        self, vectors: Vectors, queries: NDArray[Any], k: int, among: Keys | None = None
    ) -> tuple[Keys, NDArray[np.float64]]:
        """The k nearest of each query, exactly, among those that pass.

        Args:
            vectors: To search.
            queries: (m, d).
            k: At least 1.
            among: Keys that pass; None for all. Those without a vector are not found.

        Returns:
            Keys and distances, each (m, min(k, passing)), nearest first, ties by key.
        """
        return vectors.search(queries, k, among)

    def build_index(self, info: SegmentInfo, metric: str, done: Callable[[int], None]) -> str:
        """Index a segment and keep the index; returns its uri, which holds its digest."""
        part = self._part(info)
        built = SegmentIndex.build(part, metric, done)
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, keys=part.keys, centers=built.centers, place=built.place)
        uri = f"indexes/{hashlib.sha256(out.getbuffer()).hexdigest()}.npz"
        self._arrays.raw.write(uri, out.getvalue())
        return uri

    def _open(self, info: SegmentInfo) -> Part:
        return Part.of(self._arrays.keys(info), self._arrays.rows(info))

    def _open_index(self, uri: str, info: SegmentInfo) -> SegmentIndex:
        """The index of a segment that was built before; kept open.

        Raises:
            StoreError: It is missing, cut short, altered, or of other images.
        """
        data = self._arrays.raw.read(uri)
        if f"indexes/{hashlib.sha256(data).hexdigest()}.npz" != uri:
            raise StoreError(f"The index {uri} was altered or cut short: remove its file, and it is built again.")
        part = self._part(info)
        with np.load(io.BytesIO(data), allow_pickle=False) as saved:
            if "place" not in saved or not np.array_equal(saved["keys"], part.keys):
                raise StoreError(f"The index {uri} is of other vectors: remove its file, and it is built again.")
            return SegmentIndex.of(part, saved["centers"], saved["place"])
