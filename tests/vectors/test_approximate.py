"""A search for a recall finds so much, whatever it is asked; what it finds passes, at its own distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.vectors import METRICS, Approximate, SegmentIndex, Vectors, approximate
from odin_graph.vectors.exact import Part
from tests.shares import share
from tests.vectors.test_vectors import plain

D = 24
CENTERS = np.random.default_rng(0).normal(size=(50, D))


def indexed(rows: NDArray[np.float32], keys: NDArray[np.int64], metric: str, parts: int = 1) -> Approximate:
    each = zip(np.array_split(keys, parts), np.array_split(rows, parts), strict=True)
    held = [Part.of(of, np.ascontiguousarray(some)) for of, some in each if len(of)]
    return Approximate(Vectors(held, metric, 2), tuple(SegmentIndex.build(part, metric) for part in held))


def clustered(draw: np.random.Generator, n: int) -> NDArray[np.float32]:
    return (CENTERS[draw.integers(50, size=n)] + draw.normal(scale=0.4, size=(n, D))).astype(np.float32)


@pytest.fixture(scope="module", params=METRICS)
def many(request: pytest.FixtureRequest) -> tuple[str, NDArray[np.float32], Approximate]:
    rows = clustered(np.random.default_rng(1), 24_000)
    return request.param, rows, indexed(rows, np.arange(24_000) * 2, request.param, parts=2)


QUERIES = {
    "stored": lambda draw: clustered(np.random.default_rng(1), 24_000)[:60],
    "not stored": lambda draw: clustered(draw, 60),
    "between all": lambda draw: draw.normal(scale=0.05, size=(60, D)),
    "everywhere": lambda draw: draw.uniform(-3, 3, (60, D)),
    "far away": lambda draw: draw.normal(scale=50, size=(60, D)),
}


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize("recall", [0.8, 0.95])
def test_the_promised_recall_is_reached(
    many: tuple[str, NDArray[np.float32], Approximate], kind: str, recall: float
) -> None:
    """On average, for queries near stored vectors and for any others, for few neighbors and for many."""
    metric, _, index = many
    queries = QUERIES[kind](np.random.default_rng(2)).astype(np.float32)
    for k in (1, 10, 300):
        truth, _ = index.vectors.search(queries[:20] if k > 10 else queries, k, None)
        shares = []
        for query, right in zip(queries, truth, strict=False):
            (found,), _, _ = index.search(query[None], k, None, recall)
            shares.append(len(set(found.tolist()) & set(right.tolist())) / k)
        assert np.mean(shares) >= recall, (metric, k)


@pytest.mark.parametrize("along", [0.02, 0.3, 0.9])
def test_the_promised_recall_is_reached_under_filters_that_go_with_the_vectors(
    many: tuple[str, NDArray[np.float32], Approximate], along: float
) -> None:
    """What passes lies on one side, and the queries on the other."""
    metric, rows, index = many
    passing = rows[:, 0] > np.quantile(rows[:, 0], 1 - along)
    among = np.flatnonzero(passing) * 2
    queries = rows[rows[:, 0] < np.quantile(rows[:, 0], 0.2)][:40]
    truth, _ = index.vectors.search(queries, 10, among)
    found, away, _ = index.search(queries, 10, among, 0.9)
    assert np.isin(found, among).all()
    shares = [len(set(one) & set(right)) / 10 for one, right in zip(found.tolist(), truth.tolist(), strict=True)]
    assert np.mean(shares) >= 0.9
    for query, keys, said in zip(queries, found, away, strict=True):
        np.testing.assert_allclose(said, plain(query, rows[keys // 2], metric), atol=1e-5, rtol=1e-5)


def test_less_than_all_is_read_and_how_much_is_said(many: tuple[str, NDArray[np.float32], Approximate]) -> None:
    _, rows, index = many
    said = [index.search(query[None], 10, None, 0.9)[2] for query in rows[:40]]
    assert sum(how.startswith("looked into ") for how in said) >= 35
    assert all("a recall of 90% is expected" in how or how.endswith("exact") for how in said)
    *_, how = index.search(rows[:1], 10, np.arange(30) * 2, 0.9)
    assert how.endswith("vectors of the sample pass, which say too little: exact")
    *_, how = index.search(rows[:1], 10, None, 1.0)
    assert how.endswith("exact")


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_found_passes_at_its_own_distance(metric: str) -> None:
    """Whatever the filter, the parts, equal vectors, zero vectors and k; and of the promised share, the nearest."""

    @settings(max_examples=share(25))
    @given(
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(1, 400),
        k=st.integers(1, 500),
        share=st.sampled_from([0.0, 0.02, 0.3, 0.95, 1.0]),
        foreign=st.integers(0, 500),
        coarse=st.booleans(),
        parts=st.integers(1, 3),
        recall=st.sampled_from([0.5, 0.9, 0.999, 1.0]),
    )
    def check(seed: int, n: int, k: int, share: float, foreign: int, coarse: bool, parts: int, recall: float) -> None:
        draw = np.random.default_rng(seed)
        rows = draw.integers(-1, 2, (n, 3)) if coarse else draw.normal(size=(n, 3))
        rows = rows.astype(np.float32)
        keys = np.sort(draw.choice(10 * n, n, replace=False)) + 2**33
        among = np.concatenate([keys[draw.random(n) < share], draw.choice(10 * n + 501, foreign, replace=False)])
        query = draw.integers(-1, 2, 3) if coarse else draw.normal(scale=3, size=3)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"SAMPLED": 1, "_NEAREST": 5, "_SHARE": 1, "_WIDE": 1.0}.items():
                patch.setattr(approximate, name, value)
            index = indexed(rows, keys, metric, parts)
            (found,), (away,), _ = index.search(query[None].astype(float), k, draw.permutation(among), recall)
        passing = np.isin(keys, among)
        expected = plain(query.astype(np.float32), rows, metric)
        assert len(found) == len(set(found.tolist())) == min(k, passing.sum())
        assert set(found.tolist()) <= set(keys[passing].tolist())
        np.testing.assert_allclose(away, expected[np.searchsorted(keys, found)], atol=1e-5)
        assert (np.diff(away) >= 0).all()
        if recall == 1.0:
            np.testing.assert_allclose(away, np.sort(expected[passing])[:k], atol=1e-5)

    check()


def test_the_same_search_gives_the_same_neighbors() -> None:
    rows = clustered(np.random.default_rng(3), 5_000)
    both: list[Any] = [indexed(rows, np.arange(5_000), "l2").search(rows[:9], 7, None, 0.9) for _ in range(2)]
    assert both[0][0].tolist() == both[1][0].tolist()
    assert both[0][2] == both[1][2]
