"""Clusters, near duplicates, outliers and uniqueness, against scikit-learn and brute force; they compose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances
from sklearn.metrics.cluster import adjusted_rand_score
from sklearn.neighbors import LocalOutlierFactor

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query.plan.vector_columns import DUPLICATES, OUTLIERS, UNIQUENESS, Settings
from odin_graph.vectors import graph
from tests.kept import kept
from tests.shares import share
from tests.stored import filled

METRIC = {"cosine": "cosine", "l2": "euclidean"}


def drawn(seed: int, n: int, d: int = 6) -> NDArray[np.float32]:
    """A few dense places, some far away, some twice."""
    draw = np.random.default_rng(seed)
    centers = draw.normal(size=(4, d)) * 3
    rows = centers[draw.integers(4, size=n)] + draw.normal(scale=0.3, size=(n, d))
    rows[::17] += draw.normal(scale=5, size=rows[::17].shape)
    rows[1::29] = rows[0]
    return rows.astype(np.float32)


@pytest.mark.parametrize("metric", METRIC)
@settings(max_examples=share(25))
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 150),
    block=st.sampled_from([7, 64, 2_048]),
    short=st.sampled_from([1, 3, 64]),
    few=st.sampled_from([1, 20, 2_000]),
)
def test_groups_are_the_connected_ones(metric: str, seed: int, n: int, block: int, short: int, few: int) -> None:
    rows = drawn(seed, n)
    away = pairwise_distances(rows.astype(np.float64), metric=METRIC[metric])
    within = float(np.median(away)) / 4 + 1e-3
    if np.isclose(away, within, rtol=1e-4).any():
        return  # float32 decides either way
    group = np.arange(n)
    for _ in range(n):  # the least number spreads to whatever is near
        spread = np.array([group[away[row] <= within].min() for row in range(n)])
        if (spread == group).all():
            break
        group = spread
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_BLOCK": block, "_SHORT": short, "_FEW": few}.items():
            patch.setattr(graph, name, value)
        found = DUPLICATES(rows, Settings(None, within, 0, metric))
    sizes = np.bincount(group, minlength=n)[group]
    assert ((found >= 0) == (sizes > 1)).all()
    for one in range(n):
        if found[one] >= 0:
            assert ((found == found[one]) == (group == group[one])).all()
    numbers = np.bincount(found[found >= 0]) if (found >= 0).any() else np.array([])
    assert (np.diff(numbers) <= 0).all()


@pytest.mark.parametrize("metric", METRIC)
def test_copies_and_zeros_are_near_duplicates_however_many(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of zeros are alike, and copies are at distance 0 exactly; their pairs are more than are kept."""
    monkeypatch.setattr("odin_graph.query.plan.vector_columns._PAIRS", 50)
    rows = drawn(3, 200)
    rows[:40] = 0
    rows[100:130] = rows[99]
    found = DUPLICATES(rows, Settings(None, 0.0, 0, metric))
    assert (found[:40] == 0).all()
    assert len(set(found[99:130].tolist())) == 1
    assert found[99] not in (-1, 0)
    alone = UNIQUENESS(rows, Settings(None, None, 0, metric))
    assert (alone[:40] == 0).all()
    assert (alone[99:130] == 0).all()
    only = np.concatenate([rows[:1], rows[150:160]])
    away = UNIQUENESS(only, Settings(None, None, 0, metric))[0]
    assert away == (1 if metric == "cosine" else pytest.approx(np.linalg.norm(only[1:], axis=1).min()))


@pytest.mark.parametrize("metric", METRIC)
@pytest.mark.parametrize("k", [16, 30])
def test_outliers_are_scikit_learns(metric: str, k: int) -> None:
    rows = drawn(5, 400)
    found = OUTLIERS(rows, Settings(k, None, 0, metric))
    theirs = LocalOutlierFactor(n_neighbors=k, metric=METRIC[metric]).fit(rows.astype(np.float64))
    np.testing.assert_allclose(found, -theirs.negative_outlier_factor_, rtol=0.02)


@pytest.mark.parametrize("metric", METRIC)
def test_uniqueness_is_the_distance_to_the_nearest_other(metric: str) -> None:
    rows = drawn(7, 300)
    away = pairwise_distances(rows.astype(np.float64), metric=METRIC[metric])
    np.fill_diagonal(away, np.inf)
    # The last digits of float32: of l2 the square root of them.
    found = UNIQUENESS(rows, Settings(None, None, 0, metric))
    np.testing.assert_allclose(found, away.min(axis=1), atol=5e-3 if metric == "l2" else 1e-5)
    assert UNIQUENESS(rows[:1], Settings(None, None, 0, metric)).tolist() == [np.inf]


@kept
def retina(db: og.Workspace) -> og.Workspace:
    filled(db, example.build, experiments=1)
    return db


def test_columns_compose_with_the_other_steps(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    layer = retina.experiment("small-cnn/1").layer("features")
    rows = layer.embeddings(test)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    clustered = test.cluster(by=layer, k=4, seed=3)
    column = clustered.run().column("cluster").to_numpy()
    theirs = KMeans(4, n_init=1, random_state=3).fit_predict(unit)
    assert adjusted_rand_score(theirs, column) > 0.95
    sizes = clustered.group_by("cluster").agg(n=og.count()).to_arrow()
    assert sizes.column("n").to_pylist() == sorted(np.bincount(column).tolist(), reverse=True)
    assert len(clustered.where(F("cluster") == 0)) == (column == 0).sum()
    backwards = test.order_by(F("id").desc()).cluster(by=layer, k=4, seed=3)
    assert dict(zip(backwards.keys().tolist(), backwards.run().column("cluster").to_pylist(), strict=True)) == dict(
        zip(clustered.keys().tolist(), column.tolist(), strict=True)
    )
    scored = test.outliers(by=layer, k=10).uniqueness(by=layer).order_by(F("outlier").desc())
    table = scored[:5].to_arrow("id", "outlier", "uniqueness")
    assert table.column("outlier").to_pylist() == sorted(table.column("outlier").to_pylist(), reverse=True)
    copies = test.near_duplicates(by=layer, within=1e-4)
    alone = copies.where(F("duplicates").is_null())
    assert len(alone) + len(copies.where(F("duplicates") >= 0)) == len(test)
    assert "duplicates = near-duplicates by small-cnn/1:features" in str(copies.explain())
    assert repr(clustered).endswith(".clusters(by=small-cnn/1:features, k=4, seed=3))")
    assert type(test).from_json(retina._stores.address, scored.to_json()).plan == scored.plan
    assert len(test.where(F("age") > 1_000).cluster(by=layer, k=4)) == 0


def test_what_fits_no_step_says_why(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    layer = retina.experiment("small-cnn/1").layer("features")
    with pytest.raises(QueryError, match="a number of clusters, at least 1, not k=0"):
        test.cluster(by=layer, k=0)
    with pytest.raises(QueryError, match="within=-1"):
        test.near_duplicates(by=layer, within=-1)
    with pytest.raises(QueryError, match="an inner product is not a distance"):
        test.outliers(by=layer, metric="inner-product")
    with pytest.raises(QueryError, match="a column 'cluster' already"):
        test.cluster(by=layer, k=2).cluster(by=layer, k=3)
    with pytest.raises(UnknownNameError, match="no image field 'cluster'"):
        test.where(F("cluster") == 0)
    with pytest.raises(QueryError, match=r"clusters has no form in Cypher"):
        test.cluster(by=layer, k=2).to_cypher()
