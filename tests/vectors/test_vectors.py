"""Neighbours agree with the plain computation, under filters and among ties; an index finds what it says."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
from odin_graph.errors import MissingExtraError, QueryError, ShapeError, StoreError, UnknownNameError
from odin_graph.vectors import METRICS, Approximate, SegmentIndex, Vectors, VectorStore, exact
from odin_graph.vectors.approximate import KINDS, choose

BUDGET = Budget(memory=256 << 20, threads=2)


class Space:
    """Vectors as segments of a store, and a search over them."""

    def __init__(self, folder: Path) -> None:
        self.arrays = ArrayStore(str(folder), BUDGET, folder / "cache")
        self.store = VectorStore(self.arrays, BUDGET)

    def open(self, keys: NDArray[Any], rows: NDArray[Any], metric: str = "cosine", parts: int = 1) -> Vectors:
        each = zip(np.array_split(keys, parts), np.array_split(rows, parts), strict=True)
        segments = [self.arrays.write_dense("VectorSet/v/rows", *one) for one in each if len(one[0])]
        return self.store.open(segments, metric)

    def search(self, *given: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return self.store.search(*given)


@pytest.fixture
def vectors(tmp_path: Path) -> Space:
    return Space(tmp_path)


def plain(query: NDArray[Any], rows: NDArray[Any], metric: str) -> NDArray[np.float64]:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(rows - query, axis=1)
    if metric == "inner-product":
        return -(rows @ query)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    return 1 - np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0)


@pytest.mark.parametrize("metric", METRICS)
def test_exact_under_any_filter(vectors: Space, metric: str) -> None:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(1, 300),
        d=st.integers(1, 20),
        k=st.integers(1, 40),
        share=st.sampled_from([0.0, 0.02, 0.2, 0.5, 0.95, 1.0]),
        coarse=st.booleans(),
        parts=st.integers(1, 3),
        block=st.sampled_from([7, 64, 65_536]),
    )
    def check(seed: int, n: int, d: int, k: int, share: float, coarse: bool, parts: int, block: int) -> None:
        draw = np.random.default_rng(seed)
        # Coarse values make many exact ties, and zero vectors.
        rows = (draw.integers(-1, 2, (n, d)) if coarse else draw.normal(size=(n, d))).astype(np.float32)
        keys = np.sort(draw.choice(10 * n, n, replace=False)) + 2**33
        among = draw.permutation(keys[draw.random(n) < share])
        query = rows[draw.integers(n)] if coarse else draw.normal(size=d).astype(np.float32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "_BLOCK", block)
            (found,), (away,) = vectors.search(vectors.open(keys, rows, metric, parts), query, k, among)
        passing = np.isin(keys, among)
        expected = plain(query, rows, metric)
        assert len(found) == min(k, passing.sum())
        assert set(found.tolist()) <= set(among.tolist())
        np.testing.assert_allclose(away, np.sort(expected[passing])[:k], atol=1e-5)
        np.testing.assert_allclose(away, expected[np.searchsorted(keys, found)], atol=1e-5)
        tied = np.diff(away) == 0
        assert (np.diff(found)[tied] > 0).all()
        if coarse and metric != "cosine":  # exact sums: the whole order is known
            order = np.lexsort((keys[passing], expected[passing]))[:k]
            assert found.tolist() == keys[passing][order].tolist()

    check()


def test_equal_vectors_go_by_key_beyond_k(vectors: Space) -> None:
    rows = np.ones((500, 7), np.float32) * 0.1
    keys = np.arange(500) * 3
    found, away = vectors.search(vectors.open(keys, rows, parts=2), rows[:2], 20)
    assert found.tolist() == [keys[:20].tolist()] * 2
    np.testing.assert_allclose(away, 0, atol=1e-6)


def test_a_zero_vector_is_at_distance_one(vectors: Space) -> None:
    index = vectors.open(np.array([1, 2]), np.array([[0, 0], [1, 1]], np.float32))
    _, away = vectors.search(index, np.zeros(2, np.float32), 2)
    assert away.tolist() == [[1.0, 1.0]]


def test_close_scores_far_from_zero_are_told_apart(vectors: Space) -> None:
    """Where float32 rounds all distances to a few values, float64 decides."""
    draw = np.random.default_rng(0)
    rows = (1000 + draw.normal(scale=1e-3, size=(3_000, 32))).astype(np.float32)
    keys = np.arange(3_000)
    for metric in METRICS:
        (found,), (away,) = vectors.search(vectors.open(keys, rows, metric), rows[7], 20)
        expected = plain(rows[7], rows, metric)
        np.testing.assert_allclose(away, np.sort(expected)[:20], rtol=1e-6, atol=1e-6)
        if metric == "l2":
            assert found.tolist() == np.lexsort((keys, expected))[:20].tolist()


def test_what_cannot_be_searched_is_refused(vectors: Space) -> None:
    rows = np.ones((2, 3), np.float32)
    keys = np.array([1, 2])
    with pytest.raises(
        ShapeError, match="1 of 2 vectors hold NaN, infinity or numbers beyond 1e18, the first of key 2"
    ):
        vectors.open(keys, np.array([[1, 1], [np.nan, 1]], np.float32))
    with pytest.raises(UnknownNameError, match="cosine, inner-product, l2"):
        vectors.open(keys, rows, "l3")
    segments = [vectors.arrays.write_dense("VectorSet/v/rows", keys, rows[:, :d]) for d in (2, 3)]
    with pytest.raises(ShapeError, match="differ in length"):
        vectors.store.open(segments)
    index = vectors.open(keys, rows)
    with pytest.raises(ShapeError, match="3 numbers"):
        vectors.search(index, np.ones(4), 1)
    with pytest.raises(ShapeError, match="NaN"):
        vectors.search(index, np.full(3, np.inf), 1)
    with pytest.raises(QueryError):
        vectors.search(index, np.ones(3), 0)
    assert vectors.search(vectors.store.open([]), np.ones(3), 5)[0].shape == (1, 0)


def test_without_faiss_the_extra_is_named(vectors: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r'pip install "odin-graph\[cpu\]"'):
        vectors.open(np.array([1]), np.ones((1, 2), np.float32))


CLUSTERED = np.random.default_rng(0)
CENTRES = CLUSTERED.normal(size=(50, 24)).astype(np.float32)
ROWS = (CENTRES[CLUSTERED.integers(50, size=6_000)] + CLUSTERED.normal(scale=0.6, size=(6_000, 24))).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_finds_what_it_says(vectors: Space, kind: str, metric: str) -> None:
    """Of vectors that it was not measured with, and its distances are true ones."""
    keys = np.arange(6_000) * 2
    held = vectors.open(keys, ROWS, metric, parts=2)
    index = Approximate(held, tuple(SegmentIndex.build(part, metric, kind) for part in held.parts), ()).measure()
    efforts = [one.recall for one in index.measured]
    assert efforts[-1] >= max(efforts[0], 0.9)
    enough = index.enough(0.9)
    assert enough is not None
    queries = ROWS[::40] + CLUSTERED.normal(scale=0.05, size=(150, 24)).astype(np.float32)
    truth, _ = vectors.search(held, queries, 10)
    found, said, how = index.search(queries, 10, None, 0.9)
    assert how.startswith(f"{kind}, effort {enough.effort}: found ")
    hits = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(found, truth, strict=True)])
    assert hits >= enough.recall - 0.08
    for query, row, distance in zip(queries[:20], found, said, strict=False):
        np.testing.assert_allclose(distance, plain(query, ROWS[row // 2], metric), atol=1e-4, rtol=1e-4)
        assert (np.diff(distance) >= 0).all()
    among = keys[::3]
    few, _, _ = index.search(queries, 10, among, 0.9)
    assert set(few.ravel().tolist()) <= set(among.tolist())
    narrow = keys[5:9]
    found, said, how = index.search(queries[:1], 10, narrow, 0.9)
    assert "exact" in how
    assert sorted(found[0].tolist()) == narrow.tolist()


def test_the_kind_is_chosen_by_measuring(vectors: Space) -> None:
    assert choose(vectors.open(np.arange(6_000), ROWS), 0.9) in KINDS


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_index_is_an_error(vectors: Space, tmp_path: Path, damage: str) -> None:
    segment = vectors.arrays.write_dense("VectorSet/v/rows", np.arange(6_000), ROWS)
    uri = vectors.store.build_index(segment, "cosine", "ivf-sq8", lambda _: None)
    assert VectorStore(vectors.arrays, BUDGET).open_index(uri).kind == "ivf-sq8"
    file = tmp_path / uri
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        data[len(data) // 2] ^= 255
        file.write_bytes(data[:-7] if damage == "cut" else data)
    with pytest.raises(StoreError):
        vectors.store.open_index(uri)


def test_a_forked_child_searches_too(vectors: Space) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    held = vectors.open(np.arange(20_000), rows)
    index = Approximate(held, (SegmentIndex.build(held.parts[0], "cosine", "ivf"),), ()).measure()
    assert vectors.search(held, rows[:8], 5)[0][:, 0].tolist() == list(range(8))
    child = os.fork()
    if child == 0:
        found = vectors.search(held, rows[:8], 5)[0][:, 0].tolist() == list(range(8))
        near = index.search(rows[:8], 1, None, 0.5)[0][:, 0].tolist() == list(range(8))
        os._exit(0 if found and near else 1)
    assert os.waitpid(child, 0)[1] == 0
