"""Representatives, near duplicates, uniqueness and a first search for a recall: beside the plain ways, in one run.

python -m benchmarks.selection [--quick] [--json FILE]

Vectors in clusters of unequal sizes, a twentieth of them copies with jitter. The plain ways are the greedy choice with
every gain kept exact, FAISS's range search, NumPy's product of all with all in blocks, and ten exact searches. Seconds
are those of the processor, since machines are shared; every answer is checked.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import odin_graph as og
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph.analysis.facility_location import facility_location
from odin_graph.query.plan.vector_columns import DUPLICATES, UNIQUENESS, Settings

K, WITHIN, BLOCK = 20, 0.02, 2_048
Floats = NDArray[np.float32]


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    n, d = (12_000, 256) if quick else (60_000, 512)
    rows = clustered(n, d)
    return [*representatives(rows), *duplicates(rows), *uniqueness(rows), *first_search(20_000, 64 if quick else 512)]


def clustered(n: int, d: int) -> Floats:
    """Unequal clusters; a twentieth are near copies of others."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(60, d))
    belongs = np.minimum((draw.random(n) ** 2 * 60).astype(int), 59)
    rows = (centers[belongs] + draw.normal(size=(n, d))).astype(np.float32)
    copies = draw.permutation(n)[: 2 * (n // 20)].reshape(2, -1)
    rows[copies[0]] = rows[copies[1]] + draw.normal(scale=0.05, size=(n // 20, d))
    return rows


def seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """Its answer, and the processor's seconds."""
    began = time.process_time()
    return work(), time.process_time() - began


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def representatives(rows: Floats) -> list[Row]:
    """Facility location: time, memory and what the choice is worth."""
    (ours, stands_for), took = seconds(lambda: facility_location(rows, K, seed=0))
    tracemalloc.start()
    facility_location(rows, 2, seed=0)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    plain, other = seconds(lambda: greedy(rows))
    if stands_for.sum() != len(rows) or len(set(ours.tolist())) != K:
        raise WrongAnswer("what is chosen stands for all")
    less = 1 - worth(rows, ours) / worth(rows, plain)
    name = f"{K} representatives of {len(rows):,} x {rows.shape[1]}"
    return [
        Row(name, took, "s"),
        at_most(f"{name}: of the exact greedy choice ({other:,.1f} s)", took / other, "x", 0.2),
        at_most(f"{name}: worth less than it by", 100 * less, "%", 0.5),
        at_most(f"{name}: memory", peak, "MiB", 1024),
    ]


def greedy(rows: Floats) -> list[int]:
    """Each gain kept exact by what a choice changed, in float64."""
    wide = unit(rows.astype(np.float64))
    nearest = np.zeros(len(wide))
    gains = (len(wide) + wide @ wide.sum(axis=0)) / 2
    chosen: list[int] = []
    while len(chosen) < K:
        chosen.append(int(gains.argmax()))
        similar = (1 + wide @ wide[chosen[-1]]) / 2
        closer = np.flatnonzero(similar > nearest)
        for start in range(0, len(closer), 64):
            part = closer[start : start + 64]
            between = np.clip((1 + wide[part] @ wide.T) / 2, nearest[part, None], similar[part, None])
            gains -= between.sum(axis=0) - nearest[part].sum()
        nearest[closer] = similar[closer]
    return chosen


def worth(rows: Floats, chosen: Any) -> float:
    """The sum of similarities to the nearest chosen one."""
    wide = unit(rows.astype(np.float64))
    return float(((1 + wide @ wide[np.asarray(chosen)].T) / 2).max(axis=1).sum())


def duplicates(rows: Floats) -> list[Row]:
    """Groups of near duplicates, beside FAISS's range search of the same pairs."""
    ours, took = seconds(lambda: DUPLICATES(rows, Settings(None, WITHIN, 0, "cosine")))
    plain, other = seconds(lambda: by_range_search(rows))
    sizes = np.bincount(plain)[plain]
    same = (ours >= 0) == (sizes > 1)
    if not same.all() or len(np.unique(ours[ours >= 0])) != len(np.unique(plain[sizes > 1])):
        raise WrongAnswer(f"{(~same).sum()} vectors are of other groups")
    name = f"near duplicates of {len(rows):,} x {rows.shape[1]}"
    return [Row(name, took, "s"), at_most(f"{name}: of FAISS's range search ({other:,.1f} s)", took / other, "x", 0.5)]


def by_range_search(rows: Floats) -> NDArray[Any]:
    """The component of each vector."""
    units = unit(rows).astype(np.float32)
    left, right = [], []
    for start in range(0, len(units), BLOCK):
        part, others = units[start : start + BLOCK], units[start:]
        for first in range(0, len(others), 16 * BLOCK):
            flat = faiss.IndexFlatIP(units.shape[1])
            flat.add(others[first : first + 16 * BLOCK])
            ends, _, found = flat.range_search(part, 1 - WITHIN)
            left.append(np.repeat(np.arange(len(part)), np.diff(ends.astype(np.int64))) + start)
            right.append(found.astype(np.int64) + first + start)
    edges = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(units), len(units)))
    return connected_components(graph, directed=False)[1]


def uniqueness(rows: Floats) -> list[Row]:
    """The distance to the nearest other one, beside NumPy's product of all with all."""
    ours, took = seconds(lambda: UNIQUENESS(rows, Settings(None, None, 0, "cosine")))
    plain, other = seconds(lambda: by_product(rows))
    if not np.allclose(ours, plain, atol=1e-5):
        raise WrongAnswer(f"distances differ by {np.abs(ours - plain).max()}")
    name = f"uniqueness of {len(rows):,} x {rows.shape[1]}"
    return [Row(name, took, "s"), at_most(f"{name}: of NumPy's product ({other:,.1f} s)", took / other, "x", 1.2)]


def by_product(rows: Floats) -> Floats:
    """All with all, in blocks."""
    units = unit(rows).astype(np.float32)
    best = np.full(len(units), -1, np.float32)
    for start in range(0, len(units), BLOCK):
        for first in range(0, len(units), BLOCK):
            product = units[start : start + BLOCK] @ units[first : first + BLOCK].T
            if start == first:
                np.fill_diagonal(product, -1)
            part = slice(start, start + len(product))
            best[part] = np.maximum(best[part], product.max(axis=1))
    return 1 - best


def first_search(n: int, d: int) -> list[Row]:
    """What the first search for a recall costs, beside ten exact ones."""
    rows = clustered(n, d)
    pixels = np.frombuffer(np.arange(n, dtype=np.uint32).tobytes(), np.uint8).reshape(-1, 2, 2, 1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, og.connect(Path(folder) / "w.odin") as db:
        ids = [f"{at:05d}" for at in range(n)]
        db.images.add(images=pixels, ids=ids, progress=False)
        own = db.vectors.add("own", ids, rows)

        def search(**how: Any) -> list[int]:
            found: list[int] = db.images().nearest(rows[7], by=own, k=10, **how).keys().tolist()
            return found

        right = search()
        _, ten = seconds(lambda: [search() for _ in range(10)])
        found, first = seconds(lambda: search(recall=0.95))
    if len(set(found) & set(right)) < 8:
        raise WrongAnswer(f"{found} is not {right}")
    name = f"the first search for a recall over {n:,} x {d}"
    return [Row(name, first * 1000, "ms"), at_most(f"{name}: of ten exact ones", first / ten, "x", 1.0)]


if __name__ == "__main__":
    raise SystemExit(run("selection", measure))
