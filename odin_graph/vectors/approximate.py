"""Neighbours that are nearly always the nearest: FAISS indexes of each segment, whose recall was measured.

The index proposes candidates, and their distances are computed again from the vectors themselves: a distance is always
true, and quantised codes cost no precision in what is returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.vectors.exact import Keys, Part, Vectors
from odin_graph.vectors.library import clustered_on_gpus, faiss, threads
from odin_graph.vectors.metric import distances, prepared

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"ivf": "IVF{lists},Flat", "ivf-sq8": "IVF{lists},SQ8", "hnsw": "HNSW32,Flat"}
)
"""What there is to choose from, as FAISS's factory names it: inverted lists, the same with codes of 8 bits, a graph."""
_REFINED: Final = 4
"""Candidates for each neighbour that is asked for: their order is by codes, and is made right by the vectors."""
_LADDER: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Efforts whose recall is measured: lists that are looked into, or the breadth of the walk through the graph."""
_QUERIES: Final = 64
"""Stored vectors that recall is measured with, of which each one's own is left out."""
_K: Final = 10
_SAMPLE: Final = 20_000
"""Vectors over which the kinds are compared."""
_PATIENCE: Final = 600.0
"""Seconds that a build may take by what the sample took; a kind that takes longer is not chosen."""
_ADDED: Final = 65_536
_NARROW: Final = 0.1
"""Where less than this share passes a filter, those that pass are scanned: an index would look at what does not."""


@dataclass(frozen=True, eq=False)
class SegmentIndex:
    """The index of one segment; row i is the segment's."""

    kind: str
    index: Any

    @classmethod
    def build(cls, part: Part, metric: str, kind: str, done: Callable[[int], None] = lambda _: None) -> SegmentIndex:
        """Index the vectors of a segment; ``done`` is called with the number of vectors that were added."""
        library, n, d = faiss(), len(part.keys), part.rows.shape[1]
        lists = max(1, min(int(4 * np.sqrt(n)), n // 39))
        measure = library.METRIC_L2 if metric == "l2" else library.METRIC_INNER_PRODUCT
        index = library.index_factory(d, KINDS[kind].format(lists=lists), measure)
        with threads():
            if not index.is_trained:
                index.cp.min_points_per_centroid = 1  # a warning of FAISS's, on the standard error
                draw = np.random.default_rng(0).choice(n, min(n, 64 * lists), replace=False)
                with clustered_on_gpus(index, measure):
                    index.train(prepared(part.rows[np.sort(draw)], metric))
            for start in range(0, n, _ADDED):
                check()
                block = part.rows[start : start + _ADDED]
                index.add(prepared(block, metric))
                done(len(block))
        return cls(kind, index)

    def candidates(self, query: NDArray[np.float32], n: int, effort: int, among: Keys | None) -> Keys:
        """Positions of at most n vectors that may be the nearest of those that pass."""
        library = faiss()
        selector = None if among is None else library.IDSelectorBatch(among)
        if self.kind == "hnsw":
            parameters = library.SearchParametersHNSW(efSearch=max(effort, n), sel=selector)
        else:
            parameters = library.SearchParametersIVF(nprobe=effort, sel=selector)
        with threads():
            _, found = self.index.search(query[None], n, params=parameters)
        positions: Keys = found[0][found[0] >= 0].astype(np.int64)
        return positions


@dataclass(frozen=True, slots=True)
class Measured:
    """What an effort brings."""

    effort: int
    recall: float
    """Of the 10 nearest, the share that is found."""


@dataclass(frozen=True, eq=False)
class Approximate:
    """Vectors with an index of each of their segments, and what was measured of them."""

    vectors: Vectors
    indexes: tuple[SegmentIndex, ...]
    measured: tuple[Measured, ...]
    """By effort, rising; empty before it was measured."""

    def enough(self, recall: float) -> Measured | None:
        """The least effort that found so much; None where none did."""
        return next((one for one in self.measured if one.recall >= recall), None)

    def search(
        self, queries: NDArray[Any], k: int, among: Keys | None, recall: float
    ) -> tuple[Keys, NDArray[np.float64], str]:
        """Neighbours as `Vectors.search` gives them, some of which may not be the nearest; and how they were found."""
        chosen = self.enough(recall)
        passing = 1.0 if among is None else len(among) / max(1, len(self.vectors))
        if chosen is None or passing < _NARROW:
            why = "no effort found so much" if chosen is None else f"{passing:.1%} pass"
            return *self.vectors.search(queries, k, among), f"scanned, since {why}: exact"
        effort = int(np.ceil(chosen.effort / passing))  # of what is looked at, so much passes
        found = [self._nearest(query, k, effort, among) for query in prepared(queries, self.vectors.metric)]
        if any(len(keys) < min(k, self._number(among)) for keys, _ in found):
            return *self.vectors.search(queries, k, among), "scanned, since the index found too few: exact"
        kind = self.indexes[0].kind
        said = f"{kind}, effort {effort}: found {chosen.recall:.1%} of the {_K} nearest of {_QUERIES} stored vectors"
        return np.stack([keys for keys, _ in found]), np.stack([away for _, away in found]), said

    def measure(self) -> Approximate:
        """The same with what each effort finds of the neighbours of stored vectors, until all are found."""
        rng, vectors = np.random.default_rng(0), self.vectors
        sizes = np.array([len(part.keys) for part in vectors.parts])
        chosen = rng.choice(len(sizes), min(_QUERIES, int(sizes.sum())), p=sizes / sizes.sum())
        queries = np.stack([vectors.parts[at].rows[rng.integers(sizes[at])] for at in chosen])
        k = min(_K + 1, len(vectors))  # the first of them is the vector itself
        truth, _ = vectors.search(queries, k, None)
        measured: list[Measured] = []
        for effort in _LADDER:
            found = [set(self._nearest(query, k, effort, None)[0][1:]) for query in prepared(queries, vectors.metric)]
            hits = sum(len(of & set(right[1:])) for of, right in zip(found, truth.tolist(), strict=True))
            measured.append(Measured(effort, hits / max(1, len(queries) * (k - 1))))
            if measured[-1].recall >= 1.0:
                break
        return Approximate(vectors, self.indexes, tuple(measured))

    def _nearest(
        self, query: NDArray[np.float32], k: int, effort: int, among: Keys | None
    ) -> tuple[Keys, NDArray[np.float64]]:
        found, exact = [np.empty(0, np.int64)], [np.empty(0)]
        for part, index in zip(self.vectors.parts, self.indexes, strict=True):
            positions = part.positions(among)
            at = index.candidates(query, min(k * _REFINED, len(part.keys)), effort, positions)
            if len(at):
                found.append(part.keys[at])
                exact.append(distances(query, prepared(part.rows[at], self.vectors.metric), self.vectors.metric))
        keys, away = np.concatenate(found), np.concatenate(exact)
        order = np.lexsort((keys, away))[:k]
        return keys[order], away[order]

    def _number(self, among: Keys | None) -> int:
        return len(self.vectors) if among is None else len(among)


def choose(vectors: Vectors, recall: float) -> str:
    """The kind that answers soonest at a recall, measured over a sample, of those whose build takes not too long."""
    part = _sampled(vectors)
    scale = len(vectors) / max(1, len(part.keys))
    best, soonest = "ivf-sq8", float("inf")
    for kind in KINDS:
        start = time.perf_counter()
        built = SegmentIndex.build(part, vectors.metric, kind)
        if (time.perf_counter() - start) * scale * max(1.0, np.log10(scale) + 1) > _PATIENCE:
            continue
        sample = Vectors([part], vectors.metric, 1)
        approximate = Approximate(sample, (built,), ()).measure()
        enough = approximate.enough(recall)
        if enough is None:
            continue
        start = time.perf_counter()
        for query in part.rows[:_QUERIES]:
            approximate.search(query[None], _K, None, recall)
        if (took := time.perf_counter() - start) < soonest:
            best, soonest = kind, took
    return best


def _sampled(vectors: Vectors) -> Part:
    rng = np.random.default_rng(0)
    share = min(1.0, _SAMPLE / len(vectors))
    keys: list[Keys] = []
    rows: list[NDArray[np.float32]] = []
    for part in vectors.parts:
        at = np.sort(rng.choice(len(part.keys), max(1, int(len(part.keys) * share)), replace=False))
        keys.append(part.keys[at])
        rows.append(part.rows[at])
    together = np.concatenate(keys)
    order = np.argsort(together)
    return Part.of(together[order], np.ascontiguousarray(np.concatenate(rows)[order]))
