"""Nearest neighbours agree with the plain computation, also under filters and among ties; a damaged index says so."""

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
from odin_graph.vectors import METRICS, VectorStore

BUDGET = Budget(memory=256 << 20, threads=2)


@pytest.fixture
def vectors(tmp_path: Path) -> VectorStore:
    return VectorStore(ArrayStore(str(tmp_path), BUDGET), BUDGET)


def plain(query: NDArray[Any], rows: NDArray[Any], metric: str) -> NDArray[np.float64]:
    query, rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return np.linalg.norm(rows - query, axis=1)
    if metric == "inner-product":
        return -(rows @ query)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    return 1 - np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0)


@pytest.mark.parametrize("metric", METRICS)
def test_exact_under_any_filter(vectors: VectorStore, metric: str) -> None:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(1, 300),
        d=st.integers(1, 20),
        k=st.integers(1, 40),
        share=st.sampled_from([0.0, 0.02, 0.2, 0.5, 0.95, 1.0]),
        coarse=st.booleans(),
    )
    def check(seed: int, n: int, d: int, k: int, share: float, coarse: bool) -> None:
        draw = np.random.default_rng(seed)
        # Coarse values make many exact ties, and zero vectors.
        rows = (draw.integers(-1, 2, (n, d)) if coarse else draw.normal(size=(n, d))).astype(np.float32)
        keys = np.sort(draw.choice(10 * n, n, replace=False)) + 2**33
        among = draw.permutation(keys[draw.random(n) < share])
        query = rows[draw.integers(n)] if coarse else draw.normal(size=d).astype(np.float32)
        index = vectors.open(vectors.build(keys, rows, metric))
        (found,), (away,) = vectors.search(index, query, k, among)
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


def test_equal_vectors_go_by_key_beyond_k(vectors: VectorStore) -> None:
    rows = np.ones((500, 7), np.float32) * 0.1
    keys = np.arange(500) * 3
    index = vectors.open(vectors.build(keys, rows))
    found, away = vectors.search(index, rows[:2], 20)
    assert found.tolist() == [keys[:20].tolist()] * 2
    np.testing.assert_allclose(away, 0, atol=1e-6)


def test_a_zero_vector_is_at_distance_one(vectors: VectorStore) -> None:
    index = vectors.open(vectors.build(np.array([1, 2]), np.array([[0, 0], [1, 1]], np.float32)))
    _, away = vectors.search(index, np.zeros(2, np.float32), 2)
    assert away.tolist() == [[1.0, 1.0]]


def test_a_second_process_opens_what_was_built(vectors: VectorStore, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    uri = vectors.build(np.arange(50), rows, "l2")
    other = VectorStore(ArrayStore(str(tmp_path), BUDGET), BUDGET)
    index = other.open(uri)
    assert (index.metric, index.dimensions, index.keys.tolist()) == ("l2", 4, list(range(50)))
    assert other.search(index, rows[7], 1)[0].tolist() == [[7]]


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_index_is_an_error_and_is_built_again(vectors: VectorStore, tmp_path: Path, damage: str) -> None:
    keys, rows = np.arange(50), np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    uri = vectors.build(keys, rows)
    file = tmp_path / uri
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        data[len(data) // 2] ^= 255
        file.write_bytes(data[:-7] if damage == "cut" else data)
    with pytest.raises(StoreError):
        vectors.open(uri)
    assert vectors.build(keys, rows) == uri
    assert vectors.search(vectors.open(uri), rows[3], 1)[0].tolist() == [[3]]


def test_what_cannot_be_indexed_or_asked_is_refused(vectors: VectorStore) -> None:
    rows = np.ones((2, 3), np.float32)
    for keys, held in [
        (np.array([1]), rows),
        (np.array([2, 1]), rows),
        (np.array([1, 1]), rows),
        (np.array([1, 2]), rows[:, 0]),
        (np.array([1, 2]), np.full((2, 3), np.nan)),
    ]:
        with pytest.raises(ShapeError):
            vectors.build(keys, held)
    with pytest.raises(UnknownNameError, match="cosine, inner-product, l2"):
        vectors.build(np.array([1, 2]), rows, "l3")
    index = vectors.open(vectors.build(np.array([1, 2]), rows))
    with pytest.raises(ShapeError, match="3 numbers"):
        vectors.search(index, np.ones(4), 1)
    with pytest.raises(ShapeError, match="NaN"):
        vectors.search(index, np.full(3, np.inf), 1)
    with pytest.raises(QueryError):
        vectors.search(index, np.ones(3), 0)


def test_without_faiss_the_extra_is_named(vectors: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r'pip install "odin-graph\[cpu\]"'):
        vectors.build(np.array([1]), np.ones((1, 2), np.float32))


def test_a_forked_child_searches_too(vectors: VectorStore) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    index = vectors.open(vectors.build(np.arange(20_000), rows))
    assert vectors.search(index, rows[:64], 5)[0][:, 0].tolist() == list(range(64))
    child = os.fork()
    if child == 0:
        found = vectors.search(index, rows[:64], 5)[0][:, 0].tolist() == list(range(64))
        os._exit(0 if found else 1)
    assert os.waitpid(child, 0)[1] == 0
