"""Neighbors of what is not stored, of several examples, and in vectors of one's own."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import ConflictError, DataError, QueryError, ShapeError, UnknownNameError, UnreadableImageError
from tests.kept import kept
from tests.stored import filled

pytestmark = pytest.mark.one_engine


@kept
def retina(db: og.Workspace) -> og.Workspace:
    filled(db, example.build, experiments=1)
    return db


def cosine(rows: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    away: NDArray[np.float64] = 1 - rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    return away


def test_an_image_that_is_not_stored(retina: og.Workspace, tmp_path: Path) -> None:
    """As a file, as its bytes, as PIL has it and as pixels: its nearest is the stored image that looks the same."""
    layer = retina.experiment("small-cnn/1").layer("features")
    stored = retina.images("retina-test")[17]
    pixels = stored.pixels
    file = tmp_path / "new.png"
    PillowImage.fromarray(pixels[:, :, 0]).save(file)
    data = file.read_bytes()
    for given in (file, data, bytearray(data), PillowImage.open(io.BytesIO(data)), pixels, pixels[:, :, 0]):
        found = retina.images("retina-test").nearest(given, by=layer, k=3)
        (first, *_) = found.to_arrow("id").to_pylist()
        assert (first["id"], first["distance"]) == (stored.id, pytest.approx(0, abs=1e-6))
    with pytest.raises(DataError, match="64 pixels of 'the example' are masked"):
        retina.images().nearest(np.ma.masked_array(pixels, np.ones(pixels.shape, bool)), by=layer, k=3)
    with pytest.raises(ShapeError, match="the example' are complex128"):
        retina.images().nearest(pixels + 1j, by=layer, k=3)
    with pytest.raises(UnreadableImageError, match="The 5 bytes: it is not an image"):
        retina.images().nearest(b"hello", by=layer, k=3)
    with pytest.raises(UnreadableImageError, match=r"gone\.png: No such file"):
        retina.images().nearest(tmp_path / "gone.png", by=layer, k=3)
    with pytest.raises(DataError, match=r"1 ids do not exist, first 'new\.png'"):
        retina.images().nearest("new.png", by=layer, k=3)
    with pytest.raises(QueryError, match=r"is not a stored image, but a file: give pathlib\.Path\("):
        retina.images().nearest(str(file), by=layer, k=3)


def test_several_examples_and_what_is_unlike_them(retina: og.Workspace) -> None:
    layer = retina.experiment("small-cnn/1").layer("features")
    test = retina.images("retina-test")
    keys = test.keys()
    rows = layer.embeddings(test).astype(np.float64)
    like, unlike = [test[3], test[20].id, rows[50]], [test[7]]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = unit[[3, 20, 50]].mean(axis=0)
    query = mean + 0.2 * (mean - unit[7])
    left = ~np.isin(keys, keys[[3, 20, 7]])
    expected = keys[left][np.lexsort((keys[left], cosine(rows[left], query)))][:9]
    found = test.nearest(like, unlike=unlike, by=layer, k=9)
    assert found.keys().tolist() == expected.tolist()
    assert "3 examples and unlike 1" in str(found.explain())
    assert repr(found).endswith(".nearest(3 examples, unlike=an image, by=small-cnn/1:features, k=9))")
    alone = test.nearest(like, by=layer, k=9, metric="l2")
    away = np.linalg.norm(rows - rows[[3, 20, 50]].mean(axis=0), axis=1)
    left = ~np.isin(keys, keys[[3, 20]])
    assert alone.keys().tolist() == keys[left][np.lexsort((keys[left], away[left]))][:9].tolist()
    with pytest.raises(QueryError, match="at least one example"):
        test.nearest([], by=layer, k=3)


def test_vectors_of_ones_own(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    keys, rows = test.keys(), np.random.default_rng(0).normal(size=(len(test), 5)).astype(np.float32)
    clip = retina.vectors.add("clip", test[:60], rows[:60])
    assert (len(clip), clip.dimensions, retina.vectors.ids()) == (60, 5, ["clip"])
    found = test.where(F("age") > 40).nearest(test[4], by=clip, k=6)
    ages = np.array(test.to_arrow("age").column("age").to_numpy(zero_copy_only=False), float)
    pool = (ages > 40) & (np.arange(len(keys)) < 60) & (keys != keys[4])  # those that have a vector
    expected = keys[pool][np.lexsort((keys[pool], cosine(rows[pool].astype(float), rows[4].astype(float))))][:6]
    assert found.keys().tolist() == expected.tolist()
    assert len(test.where(F("age") > 1000).nearest(rows[0], by=clip, k=3)) == 0
    assert len(test[80:].nearest(rows[0], by=clip, k=3)) == 0
    with pytest.raises(QueryError, match=r"1 of 1 images have no vector in 'clip'.*db.vectors.add"):
        test.nearest(test[70], by=clip, k=3).run()
    with pytest.raises(QueryError, match="no model here computes the vector of an image: give its vector"):
        test.nearest(test[0].pixels, by=clip, k=3)
    with pytest.raises(QueryError, match="The vector has 2 numbers, those of 'clip' have 5"):
        test.nearest([1.0, 2.0], by=clip, k=3).run()
    retina.vectors.add("clip", test, rows)  # what is there already is left, the others are added
    assert len(retina.vectors["clip"]) == len(test)
    np.testing.assert_array_equal(clip.embeddings(test[10:20]), rows[10:20])
    assert len(test.representative(4, by=clip)) == 4
    again = type(found).from_json(retina._stores.address, found.to_json())
    assert again.plan == found.plan
    retina.vectors.delete("clip")
    with pytest.raises(UnknownNameError, match="no vector set 'clip'"):
        test.nearest(test[0], by=clip, k=3)


def test_neighbors_under_one_model_against_those_under_another(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    layer = retina.experiment("small-cnn/1").layer("features")
    rows = np.random.default_rng(0).normal(size=(len(test), 5)).astype(np.float32)
    clip = retina.vectors.add("clip", test, rows)
    both = test.neighborhoods(test[8], a=layer, b=clip, k=30)
    left, right = (set(side.keys().tolist()) for side in (both.a, both.b))
    assert both.overlap == len(left & right) / len(left | right) < 1
    assert set(both.both.keys().tolist()) == left & right
    assert set(both.only("b").keys().tolist()) == right - left
    frame = both.to_pandas()
    assert frame["rank_a"].dropna().tolist() == list(range(1, 31))
    assert len(frame) == len(left | right)
    assert frame["distance_b"].notna().sum() == 30
    assert test.neighborhoods(test[8], a=clip, b=clip, k=5).overlap == 1
    with pytest.raises(UnknownNameError, match="no side 'c'"):
        both.only("c")


def test_vectors_are_replaced_only_where_that_is_said(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    rows = np.arange(60.0).reshape(20, 3)
    retina.vectors.add("mine", test[:20], rows)
    with pytest.raises(ConflictError, match=r"2 images have another vector in 'mine' already.*replace=True"):
        retina.vectors.add("mine", test[18:22], -np.ones((4, 3)))
    assert len(retina.vectors["mine"]) == 20
    retina.vectors.add("mine", test[18:22], -np.ones((4, 3)), replace=True)
    held = retina.vectors["mine"]
    np.testing.assert_array_equal(held.embeddings(test[17:22]), [rows[17], *[[-1, -1, -1]] * 4])
    assert held.missing(test).tolist() == test.keys()[22:].tolist()
    assert retina.doctor(deep=True).sound


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.ones((3, 4)), "There are 2 images and 3 vectors"),
        (np.ones(2), r"shape \(n, d\), not float64 of shape \(2,\)"),
        (np.array([["a"], ["b"]]), "not <U1"),
        ([[1.0], [1.0, 2.0]], "all of one length"),
        (np.array([[1.0], [np.nan]]), "Row 1 contains NaN"),
        (np.array([[1e30], [1.0]]), "Row 0 contains NaN, infinity or a number beyond"),
        (np.ma.array([[1.0], [1.0]], mask=[[0], [1]]), "Numbers of the vectors are masked"),
    ],
)
def test_what_is_no_set_of_vectors_is_refused(retina: og.Workspace, rows: NDArray[np.float64], why: str) -> None:
    with pytest.raises(ShapeError, match=why):
        retina.vectors.add("bad", retina.images()[:2], rows)
    assert retina.vectors.ids() == []


def test_names_and_lengths_of_sets(retina: og.Workspace) -> None:
    two = retina.images()[:2]
    with pytest.raises(QueryError, match="a text without '/'"):
        retina.vectors.add("a/b", two, np.ones((2, 2)))
    retina.vectors.add("a", two, np.ones((2, 2)))
    with pytest.raises(ShapeError, match="The vectors of 'a' have 2 numbers, these have 3"):
        retina.vectors.add("a", retina.images()[2:4], np.ones((2, 3)))
    with pytest.raises(ShapeError, match="twice"):
        retina.vectors.add("b", [two[0], two[0]], np.ones((2, 2)))


def test_a_purged_image_leaves_its_vectors(retina: og.Workspace) -> None:
    keys = retina.images().keys()
    rows = np.random.default_rng(0).normal(size=(len(keys), 5)).astype(np.float32)
    retina.vectors.add("clip", retina.images(), rows)
    image = retina.images()[9]
    report = image.purge(force=True)
    assert report.destroyed["vectors of users"] == 1
    assert len(retina.vectors["clip"]) == len(keys) - 1
    found = retina.images().nearest(rows[9], by=retina.vectors["clip"], k=1)
    assert found.keys().tolist() != [image.key]
    assert retina.doctor(deep=True).sound


def test_a_layer_that_has_gone_is_named(db: og.Workspace) -> None:
    filled(db, example.build, experiments=1)
    exp, test = db.experiment("small-cnn/1"), db.images("retina-test")
    near = test.nearest(test[0], by=exp.layer("features"), k=3)
    other = near.to_json()
    other["steps"][0]["by"]["layer"] = "gone"
    with pytest.raises(og.UnknownNameError, match=r"no layer of the model 'small-cnn': 'gone'. There is: features"):
        og.Query.from_json(near.address, other)
    assert exp.best_checkpoint() is not None
    exp.best_checkpoint().delete(force=True)
    for ask in (near.run, lambda: og.Query.from_json(near.address, near.to_json())):
        with pytest.raises(og.UnknownNameError, match="There is no checkpoint 'small-cnn/1/1'"):
            ask()
