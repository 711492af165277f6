"""Nearest neighbors among a million vectors of 512 numbers, with filters: beside FAISS, LanceDB and NumPy.

python -m benchmarks.vectors [--quick] [--json FILE]

The vectors are embeddings of Fashion-MNIST from a small network, repeated with jitter. Every exact answer is compared
with NumPy in float64. For approximate answers, the recall is reported with the time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.pictures import fashion
from benchmarks.report import Row, WrongAnswer, at_most, paired, run
from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
from odin_graph.vectors import Approximate, SegmentIndex, Vectors, VectorStore

D, K, METRIC = 512, 10, "cosine"
SHARES = (0.0001, 0.01, 0.1, 0.5, 1.0)
SEGMENT = 125_000
TURNS = 7
QUERIES = 100
GRAPH = 200_000
"""Vectors of the raw graph, which takes minutes to build over more."""

Floats = NDArray[np.float32]
Keys = NDArray[np.int64]


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    number = 30_000 if quick else 1_000_000
    rows = repeated(embeddings(2_000 if quick else 70_000), number)
    asked = rows[np.random.default_rng(1).choice(number, QUERIES, replace=False)]
    asked = asked + np.random.default_rng(2).normal(scale=0.02, size=asked.shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ArrayStore(str(folder / "arrays"), Budget.of_machine(), folder / "decoded")
        segments = [
            store.write_dense("VectorSet/v/rows", np.arange(start, min(start + SEGMENT, number)), part)
            for start, part in ((start, rows[start : start + SEGMENT]) for start in range(0, number, SEGMENT))
        ]
        vectors = VectorStore(store, Budget.of_machine()).open(segments, METRIC)
        lance = Lance(folder / "lance", rows)
        turns = 3 if quick else TURNS
        found = [row for share in SHARES for row in exact(vectors, rows, asked, share, lance, turns)]
        return found + approximate(vectors, rows, asked, lance)


def embeddings(number: int) -> Floats:
    """What the last hidden layer of a small network, trained for an epoch, says of Fashion-MNIST: (n, 512)."""
    torch.manual_seed(0)
    pixels, labels = fashion()
    features = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3136, D)
    )
    head = nn.Sequential(nn.ReLU(), nn.Linear(D, 10))
    steps = torch.optim.Adam([*features.parameters(), *head.parameters()], lr=1e-3)
    inputs = torch.tensor(pixels[:number, None], dtype=torch.float32) / 255
    targets = torch.tensor(labels[:number].astype(np.int64))
    for start in range(0, min(number, 20_000), 128):
        steps.zero_grad()
        part = slice(start, start + 128)
        nn.functional.cross_entropy(head(features(inputs[part])), targets[part]).backward()
        steps.step()
    with torch.no_grad():
        found: Floats = torch.cat(
            [features(inputs[start : start + 1_000]) for start in range(0, number, 1_000)]
        ).numpy()
    return found


def repeated(rows: Floats, number: int) -> Floats:
    """Rows again and again, each time with jitter, so that no two are alike."""
    draw = np.random.default_rng(0)
    made = np.empty((number, D), np.float32)
    scale = 0.1 * float(rows.std())
    for start in range(0, number, len(rows)):
        part = rows[: number - start]
        made[start : start + len(part)] = part + draw.standard_normal(part.shape, np.float32) * np.float32(scale)
    return made


class Lance:
    """LanceDB's engine over the same vectors, with a column to filter by."""

    def __init__(self, folder: Path, rows: Floats) -> None:
        import lance
        import pyarrow as pa

        draw = np.random.default_rng(3).random(len(rows))
        self.draw = draw
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), D)
        table = pa.table({"key": np.arange(len(rows)), "draw": draw, "vector": vectors})
        self.data = lance.write_dataset(table, str(folder))

    def nearest(self, query: Floats, share: float, **how: Any) -> Keys:
        """The keys of the k nearest of those whose draw is below the share."""
        asked = {"column": "vector", "q": query, "k": K, "metric": METRIC, **how}
        only = {"filter": f"draw < {share}", "prefilter": True} if share < 1 else {}
        table = self.data.to_table(columns=["key", "_distance"], nearest=asked, **only)
        keys: Keys = table.column("key").to_numpy()
        return keys


def exact(vectors: Vectors, rows: Floats, asked: Floats, share: float, lance: Lance, turns: int) -> list[Row]:
    """One selectivity: ours beside each peer, in alternating turns."""
    number = len(rows)
    passing = lance.draw < share if share < 1 else np.ones(number, bool)
    lengths = np.linalg.norm(rows, axis=1)
    flat = flat_index(rows, lengths)
    turn = iter(range(10_000))

    def ours() -> float:
        query = asked[next(turn) % QUERIES]
        began = time.perf_counter()
        among = None if share == 1 else np.flatnonzero(passing)
        vectors.search(query[None], K, among)
        return time.perf_counter() - began

    def of(answer: Callable[[Floats], Any]) -> Callable[[], float]:
        def seconds() -> float:
            query = asked[next(turn) % QUERIES]
            began = time.perf_counter()
            answer(query)
            return time.perf_counter() - began

        return seconds

    for query in asked[:3]:
        check(vectors, rows, query, passing)
        if sorted(lance.nearest(query, share)) != sorted(truth(rows, query, passing)[0]):
            raise WrongAnswer(f"LanceDB at {share:.2%}")
    said = f"{share:.2%} of {number:,} pass"
    peers: list[tuple[str, Callable[[Floats], Any], float]] = [
        ("LanceDB, exact", lambda query: lance.nearest(query, share, use_index=False), 1.0),
        ("NumPy", lambda query: by_numpy(rows, lengths, query, passing), float("inf")),
    ]
    if share == 1:
        peers.insert(0, ("FAISS, flat", lambda query: flat.search(unit(query)[None], K), 1.1))
    else:
        peers.insert(0, ("FAISS, filtered afterwards", lambda query: filtered_afterwards(flat, query, passing), 1.0))
    found: list[Row] = []
    for name, answer, most in peers:
        own, other, ratio = paired(ours, of(answer), turns)
        found.append(Row(f"{said}: ours", own * 1000, "ms")) if not found else None
        if most == float("inf"):
            found.append(Row(f"{said}: of {name} ({other * 1000:,.1f} ms)", ratio, "x"))
        else:
            found.append(at_most(f"{said}: of {name} ({other * 1000:,.1f} ms)", ratio, "x", most))
    return found


_flat: dict[int, Any] = {}


def flat_index(rows: Floats, lengths: Floats) -> Any:
    """FAISS's own, over unit vectors, made once."""
    if id(rows) not in _flat:
        index = faiss.IndexFlatIP(D)
        for start in range(0, len(rows), SEGMENT):
            part = slice(start, start + SEGMENT)
            index.add(rows[part] / lengths[part, None])
        _flat[id(rows)] = index
    return _flat[id(rows)]


def filtered_afterwards(flat: Any, query: Floats, passing: NDArray[np.bool_]) -> Keys:
    """What people do where an index knows no filter: ask for more, and again for more, until enough pass."""
    n = 2 * int(K / max(passing.mean(), 1e-9)) + K
    while True:
        n = min(n, len(passing))
        _, found = flat.search(unit(query)[None], n)
        kept: Keys = found[0][passing[found[0]]]
        if len(kept) >= min(K, int(passing.sum())) or n == len(passing):
            return kept[:K]
        n *= 4


def by_numpy(rows: Floats, lengths: Floats, query: Floats, passing: NDArray[np.bool_]) -> Keys:
    """One product and a partition."""
    at = np.flatnonzero(passing)
    scores = (rows @ query if len(at) == len(rows) else rows[at] @ query) / lengths[at]
    k = min(K, len(at))
    first: Keys = at[np.argpartition(scores, -k)[-k:]]
    return first


def unit(vector: Floats) -> Floats:
    """Of length 1."""
    scaled: Floats = vector / np.linalg.norm(vector)
    return scaled


def truth(rows: Floats, query: Floats, passing: NDArray[np.bool_]) -> tuple[Keys, NDArray[np.float64]]:
    """Keys and distances in float64."""
    at, wide = np.flatnonzero(passing), query.astype(np.float64)
    away = np.empty(len(at))
    for start in range(0, len(at), SEGMENT):
        part = rows[at[start : start + SEGMENT]].astype(np.float64)
        away[start : start + SEGMENT] = 1 - part @ wide / (np.linalg.norm(part, axis=1) * np.linalg.norm(wide))
    order = np.argsort(away, kind="stable")[:K]
    return at[order], away[order]


def check(vectors: Vectors, rows: Floats, query: Floats, passing: NDArray[np.bool_]) -> None:
    """Ours is the answer of float64."""
    keys, away = truth(rows, query, passing)
    found, said = vectors.search(query[None], K, np.flatnonzero(passing))
    if found[0].tolist() != keys.tolist() or not np.allclose(said[0], away, atol=1e-6):
        raise WrongAnswer(f"{found[0]} is not {keys}")


def approximate(vectors: Vectors, rows: Floats, asked: Floats, lance: Lance) -> list[Row]:
    """Time against recall: ours by the recall that is asked for, LanceDB by its lists, raw HNSW by its breadth."""
    every = np.ones(len(rows), bool)
    queries = asked[:20]
    right = [set(truth(rows, query, every)[0].tolist()) for query in queries]
    began = time.perf_counter()
    index = Approximate(vectors, tuple(SegmentIndex.build(part, METRIC) for part in vectors.parts))
    found = [Row("recall=: index built", time.perf_counter() - began, "s")]

    def curve(name: str, answer: Callable[[Floats], Any], least: float = 0.0) -> None:
        seconds, hits = [], 0
        for query, keys in zip(queries, right, strict=True):
            start = time.perf_counter()
            said = answer(query)
            seconds.append(time.perf_counter() - start)
            hits += len(keys & {int(key) for key in said})
        recall = hits / (len(queries) * K)
        took = f"{median(seconds) * 1000:,.2f} ms"
        found.append(Row(f"{name} ({took})", recall, "recall@10", f">= {least:g}" if least else "", recall >= least))

    for recall in (0.8, 0.9, 0.95, 0.99):
        curve(f"recall={recall:g}", lambda q, r=recall: index.search(q[None], K, None, r)[0][0], recall)
    lance.data.create_index("vector", "IVF_PQ", metric=METRIC, num_partitions=256, num_sub_vectors=64)
    for probes in (4, 16, 64):
        curve(f"LanceDB IVF_PQ, {probes} lists", lambda q, p=probes: lance.nearest(q, 1.0, nprobes=p, refine_factor=4))
    graph = faiss.IndexHNSWFlat(D, 32, faiss.METRIC_INNER_PRODUCT)
    part = rows[:GRAPH]
    start = time.perf_counter()
    graph.add(part / np.linalg.norm(part, axis=1, keepdims=True))
    found.append(Row(f"raw HNSW over {len(part):,}: built", time.perf_counter() - start, "s"))
    right = [set(truth(part, query, every[:GRAPH])[0].tolist()) for query in queries]
    for breadth in (16, 64, 256):
        graph.hnsw.efSearch = breadth
        curve(f"raw HNSW over {len(part):,}, breadth {breadth}", lambda q: graph.search(unit(q)[None], K)[1][0])
    return found


if __name__ == "__main__":
    os.environ.setdefault("ODIN_PROGRESS", "0")
    raise SystemExit(run("vectors", measure))
