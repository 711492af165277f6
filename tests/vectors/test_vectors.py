"""Neighbors agree with the plain computation, under filters and among ties; what cannot be searched is refused."""

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
from tests.shares import share

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
    length, lengths = np.linalg.norm(query), np.linalg.norm(rows, axis=1)
    cos = np.divide(rows @ query, lengths * length, out=np.zeros(len(rows)), where=lengths * length > 0)
    return np.where((lengths == 0) & (length == 0), 0.0, 1 - cos)


@pytest.mark.parametrize("metric", METRICS)
def test_exact_under_any_filter(vectors: Space, metric: str) -> None:
    @settings(max_examples=share(40))
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
            patch.setattr(exact, "BLOCK", block)
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


def test_a_zero_vector_is_like_another_and_at_distance_one_from_all_else(vectors: Space) -> None:
    """By cosine; what is too short for float32 to have a direction counts as zero, what is merely short does not."""
    rows = np.array([[0, 0], [1, 1], [0, 0], [-1, 0], [1e-35, 0], [1e-25, 0]], np.float32)
    held = vectors.open(np.arange(6), rows)
    (found,), (away,) = vectors.search(held, np.zeros(2, np.float32), 6)
    assert found.tolist() == [0, 2, 4, 1, 3, 5]
    assert away.tolist() == [0, 0, 0, 1, 1, 1]
    (found,), (away,) = vectors.search(held, np.array([2, 0], np.float32), 6)
    assert found.tolist() == [5, 1, 0, 2, 4, 3]
    np.testing.assert_allclose(away, [0, 1 - 0.5**0.5, 1, 1, 1, 2], atol=1e-7)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_vector_is_at_distance_zero_from_its_copies(vectors: Space, metric: str) -> None:
    """Exactly, not but for a rounding."""
    rows = np.random.default_rng(0).normal(size=(40, 33)).astype(np.float32) * 1e3
    rows[20:] = rows[:20]
    _, away = vectors.search(vectors.open(np.arange(40), rows, metric), rows, 2)
    assert (away == 0).all()


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
    for beyond in (np.inf, np.nan, 1e200, -2e18):
        with pytest.raises(ShapeError, match="A query contains NaN, infinity or a number beyond 1e18"):
            vectors.search(index, np.full(3, beyond), 1)
    with pytest.raises(QueryError):
        vectors.search(index, np.ones(3), 0)
    assert vectors.search(vectors.store.open([]), np.ones(3), 5)[0].shape == (1, 0)


def test_without_faiss_the_extra_is_named(vectors: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r'pip install "odin-graph\[cpu\]"'):
        vectors.open(np.array([1]), np.ones((1, 2), np.float32))


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_index_is_an_error(vectors: Space, tmp_path: Path, damage: str) -> None:
    rows = np.random.default_rng(0).normal(size=(6_000, 24)).astype(np.float32)
    segment, other = (vectors.arrays.write_dense("VectorSet/v/rows", np.arange(6_000) + at, rows) for at in (0, 7))
    uri = vectors.store.build_index(segment, "cosine", lambda _: None)
    assert len(VectorStore(vectors.arrays, BUDGET).open_index(uri, segment).place) == 6_000
    with pytest.raises(StoreError, match="is of other vectors"):
        vectors.store.open_index(uri, other)
    file = tmp_path / uri
    data = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        data[len(data) // 2] ^= 255
        file.write_bytes(data[:-7] if damage == "cut" else data)
    with pytest.raises(StoreError):
        vectors.store.open_index(uri, segment)


def test_a_forked_child_searches_too(vectors: Space) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    held = vectors.open(np.arange(20_000), rows)
    index = Approximate(held, (SegmentIndex.build(held.parts[0], "cosine"),))
    assert vectors.search(held, rows[:8], 5)[0][:, 0].tolist() == list(range(8))
    child = os.fork()
    if child == 0:
        found = vectors.search(held, rows[:8], 5)[0][:, 0].tolist() == list(range(8))
        near = index.search(rows[:8], 1, None, 0.5)[0][:, 0].tolist() == list(range(8))
        os._exit(0 if found and near else 1)
    assert os.waitpid(child, 0)[1] == 0
