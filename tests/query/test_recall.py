"""`nearest(..., recall=)` against brute force: what passes the filter, what is there, at its own distance."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import odin_graph as og
from odin_graph import F, example
from odin_graph.catalog.activations import vector_indexes
from odin_graph.vectors import METRICS, approximate
from tests.shares import share
from tests.stored import filled
from tests.vectors.test_vectors import plain

pytestmark = pytest.mark.one_engine  # an index of vectors, which no graph has

D = 5


@pytest.fixture(autouse=True)
def indexes_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index is built by the first search, of however few vectors, and used."""
    monkeypatch.setattr(vector_indexes, "LEAST", 2)
    monkeypatch.setattr(vector_indexes, "PRICE", 0)
    for name, value in {"SAMPLED": 1, "_NEAREST": 19, "_SHARE": 1, "_WIDE": 1.0}.items():
        monkeypatch.setattr(approximate, name, value)


def test_neighbors_are_those_of_brute_force(db: og.Workspace) -> None:
    """Over vectors of a part of the images, after deletion, purge and changes, for filters of every size."""
    _search(db)
    assert db.doctor(deep=True).sound


@settings(max_examples=share(12))
@given(
    seed=st.integers(0, 2**31),
    metric=st.sampled_from(METRICS),
    filtered=st.sampled_from(["none", "half", "few", "one", "empty"]),
    gone=st.sets(st.sampled_from(["deleted", "purged", "replaced", "added", "searched"])),
    k=st.sampled_from([1, 7, 200]),
)
def _search(db: og.Workspace, seed: int, metric: str, filtered: str, gone: set[str], k: int) -> None:
    draw, run = np.random.default_rng(seed), uuid.uuid4().hex[:8]
    n = 90
    pixels = draw.integers(0, 256, (n, 2, 2, 1), np.uint8)
    ids = [f"{run}-{at:03d}" for at in range(n)]
    db.images.add(images=pixels, ids=ids, metadata={"n": list(range(n)), "run": [run] * n}, progress=False)
    rows = draw.normal(size=(n, D)).astype(np.float32)
    rows[draw.integers(n, size=6)] = rows[3]
    rows[draw.integers(n, size=3)] = 0
    held = dict.fromkeys(draw.permutation(n)[:60].tolist())
    for at in held:
        held[at] = rows[at]
    own = db.vectors.add(run, [ids[at] for at in held], np.stack(list(held.values())))
    test = db.images().where(F("run") == run)
    if "searched" in gone:  # so that an index of before is there
        assert len(test.nearest(rows[0], by=own, k=3, metric=metric, recall=0.9)) == 3
    some = iter(draw.permutation(list(held)).tolist())
    if "deleted" in gone:
        for at in (next(some), next(some)):
            db.image(ids[at]).delete()
            del held[at]
    if "purged" in gone:
        at = next(some)
        db.image(ids[at]).purge(force=True)
        del held[at]
    if "replaced" in gone:
        at = next(some)
        held[at] = draw.normal(size=D).astype(np.float32)
        db.vectors.add(run, [ids[at]], held[at][None], replace=True)
    if "added" in gone:
        more = [at for at in range(n) if at not in held and db.images().where(F("id") == ids[at]).count()][:9]
        held |= {at: rows[at] for at in more}
        db.vectors.add(run, [ids[at] for at in more], rows[more])
    there = np.array(sorted(held))
    keep = {
        "none": there >= 0,
        "half": there % 2 == 0,
        "few": there % 10 == 0,
        "one": there == there[5],
        "empty": there < 0,
    }[filtered]
    query = {
        "none": test,
        "half": test.where(F("n") % 2 == 0),
        "few": test.where(F("n") % 10 == 0),
        "one": test.where(F("n") == int(there[5])),
        "empty": test.where(F("n") < 0),
    }[filtered]
    passing, vectors = there[keep], np.stack([held[at] for at in there])
    likes, unlike = [int(at) for at in there[:2]], int(there[2])
    mean = vectors[:2].astype(np.float64), vectors[2].astype(np.float64)
    if metric == "cosine":
        mean = tuple(_unit(np.atleast_2d(side)) for side in mean)
    middle = mean[0].mean(axis=0)
    asked = {
        "a vector": (draw.normal(scale=3, size=D), (), []),
        "an image": (ids[likes[0]], (), likes[:1]),
        "several": ([ids[at] for at in likes], [ids[unlike]], [*likes, unlike]),
    }
    searched = {
        "a vector": asked["a vector"][0],
        "an image": vectors[0],
        "several": middle + 0.2 * (middle - mean[1].reshape(-1)),
    }
    for name, (to, other, examples) in asked.items():
        table = query.nearest(to, unlike=other, by=own, k=k, metric=metric, recall=0.95).to_pandas("id")
        pool = passing[~np.isin(passing, examples)]
        expected = plain(np.asarray(searched[name], np.float32), np.stack([held[at] for at in there]), metric)
        expected = dict(zip(there.tolist(), expected, strict=True))
        found = [int(id_[-3:]) for id_ in table["id"]]
        assert len(found) == min(k, len(pool)), name
        assert set(found) <= set(pool.tolist()), name
        np.testing.assert_allclose(table["distance"], [expected[at] for at in found], atol=1e-5)
        truth = sorted(expected[at] for at in pool.tolist())[:k]
        hits = (np.array([expected[at] for at in found]) <= (truth[-1] if truth else 0) + 1e-9).sum()
        assert hits >= 0.5 * len(truth), "on average it is .95: the tests of the index measure it"


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def test_a_layers_embeddings_are_searched_likewise(db: og.Workspace) -> None:
    """Also where more of them are stored than pass, and as many pass as are stored of others."""
    filled(db, example.build, experiments=1)
    layer, test = db.experiment("small-cnn/1").layer("features"), db.images("retina-test")
    layer.embeddings(test[:60], progress=False)
    for passing in (test[:60], test[20:80], test.where(F("age") > 50), test):
        exactly = passing.nearest(test[4], by=layer, k=9).run()
        for _ in range(2):
            found = passing.nearest(test[4], by=layer, k=9, recall=1.0).run()
            assert found.equals(exactly)
        some = passing.nearest(test[4], by=layer, k=9, recall=0.9).run()
        away = dict(zip(*(passing.nearest(test[4], by=layer, k=500).run().to_pydict().values()), strict=True))
        assert [away[key] for key in some.column("key").to_pylist()] == some.column("distance").to_pylist()
    first = test[9]
    first.delete(force=True)
    assert first.key not in test.nearest(test[4], by=layer, k=500, recall=0.9).keys().tolist()


def test_an_index_is_kept_and_grows_and_is_built_when_it_pays(
    db: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few searches are answered by scans; what was built is used again, grown by what is new, mended when damaged."""
    filled(db, example.build, experiments=1)
    stores, test = db._stores, db.images("retina-test")
    rows = np.random.default_rng(0).normal(size=(len(test), 6)).astype(np.float32)
    clip = db.vectors.add("clip", test[:100], rows[:100])
    asked = test[:100].nearest(test[4], by=clip, k=5, recall=0.9)
    owner = vector_indexes.Owner("VectorSet", "clip")
    monkeypatch.setattr(vector_indexes, "PRICE", 0.3)  # of ten lists: three scans
    exactly = test[:100].nearest(test[4], by=clip, k=5).run()
    for number in (1, 2, 3):
        assert f"an index pays after 3 searches, and this is number {number}: exact" in str(asked.explain(run=True))
        assert vector_indexes.index_of(stores, owner, "cosine") is None
    assert asked.run().equals(exactly) or vector_indexes.index_of(stores, owner, "cosine") is not None
    assert "looked into" in str(asked.explain(run=True))
    first = vector_indexes.index_of(stores, owner, "cosine")
    assert first is not None
    monkeypatch.setattr(vector_indexes, "PRICE", 0)
    db.vectors.add("clip", test, rows)
    test.nearest(test[4], by=clip, k=5, recall=0.9).keys()
    grown = vector_indexes.index_of(stores, owner, "cosine")
    assert grown is not None
    assert grown.uris[:1] == first.uris
    assert len(grown.uris) == 2
    stores.vectors.open_index.cache_clear()  # type: ignore[attr-defined]
    file = stores.arrays.raw.read(grown.uris[1])
    stores.arrays.raw.write(grown.uris[1], file[:-9])
    assert len(test.nearest(test[4], by=clip, k=5, recall=0.9)) == 5
    assert db.doctor(deep=True).sound
    with pytest.raises(og.QueryError, match="recall= is the share"):
        test.nearest(test[4], by=clip, k=5, recall=1.5)
