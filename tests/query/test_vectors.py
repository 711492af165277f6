"""nearest and representative over a real model's layer, against NumPy."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query.plan.shares import shares
from odin_graph.runtime.passes.embed import embeddings
from tests.kept import kept
from tests.stored import filled


@kept
def retina(db: og.Workspace) -> og.Workspace:
    filled(db, example.build, experiments=1)
    return db


def vectors(db: og.Workspace, keys: np.ndarray) -> np.ndarray:
    from odin_graph.catalog.activations.activations import LayerRef

    chosen = db.experiment("small-cnn/1").best_checkpoint()
    assert chosen is not None
    return embeddings(db._stores, LayerRef(chosen.id, "features"), keys).astype(np.float64)


def test_nearest_is_exact_among_those_that_pass(retina: og.Workspace) -> None:
    layer = retina.experiment("small-cnn/1").layer("features")
    test = retina.images("retina-test")
    passing = test.where(F("age") > 50)
    asked = passing[3]
    keys = passing.keys()[passing.keys() != asked.key]
    all_, one = vectors(retina, keys), vectors(retina, np.array([asked.key]))[0]
    cosine = 1 - all_ @ one / (np.linalg.norm(all_, axis=1) * np.linalg.norm(one))
    expected = keys[np.lexsort((keys, cosine))][:7]
    for to in (asked, asked.id):
        found = passing.nearest(to, by=layer, k=7)
        assert asked.key not in found.keys().tolist()  # a stored image is not among its own neighbors
        assert found.keys().tolist() == expected.tolist()
        np.testing.assert_allclose(found.run().column("distance").to_numpy(), np.sort(cosine)[:7], atol=1e-5)
    by_vector = passing.nearest(one, by=layer, k=1, metric="l2")
    assert by_vector.keys().tolist() == [asked.key]  # a vector has no image of its own
    assert by_vector.run().column("distance").to_pylist() == [pytest.approx(0, abs=1e-3)]
    assert len(passing.nearest(asked, by=layer, k=1000)) == len(passing) - 1
    assert len(test.where(F("age") > 1000).nearest(asked, by=layer, k=3)) == 0
    assert (found.where(F("site") == "Lima").to_arrow("site").column("site").to_numpy() == "Lima").all()


def test_representatives_stand_for_every_wrong_image(retina: og.Workspace) -> None:
    exp = retina.experiment("small-cnn/1")
    wrong = retina.images("retina-test").where(exp.wrong)
    assert len(wrong) > 12
    found = wrong.representative(6, by=exp.layer("features"), seed=0)
    table = found.with_columns(said=exp.predicted).to_arrow("label")
    assert sum(table.column("stands_for").to_pylist()) == len(wrong)
    assert table.column("pair_truth").to_pylist() == table.column("label").to_pylist()
    assert table.column("pair_predicted").to_pylist() == table.column("said").to_pylist()
    stands_for = table.column("stands_for").to_pylist()
    assert stands_for == sorted(stands_for, reverse=True)
    said = wrong.with_columns(said=exp.predicted).to_arrow("label")
    pairs = Counter(zip(said.column("label").to_pylist(), said.column("said").to_pylist(), strict=True))
    ranked = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    expected = dict(zip(ranked, shares([pairs[pair] for pair in ranked], 6), strict=True))
    chosen = Counter(zip(table.column("label").to_pylist(), table.column("said").to_pylist(), strict=True))
    assert chosen == Counter({pair: share for pair, share in expected.items() if share})
    again = wrong.order_by(F("id").desc()).representative(6, by=exp.layer("features"), seed=0)
    assert again.run().equals(found.run())  # deterministic, whatever order the images come in
    assert "within each confused pair" in str(found.explain())


def test_representatives_of_images_that_nobody_judged_are_one_group(retina: og.Workspace) -> None:
    layer = retina.experiment("small-cnn/1").layer("features")
    found = retina.images().representative(3, by=layer).run()
    assert found.column_names == ["key", "stands_for"]
    assert sum(found.column("stands_for").to_pylist()) == example.IMAGES


def test_what_cannot_be_nearest_says_why(retina: og.Workspace) -> None:
    test = retina.images("retina-test")
    exp = retina.experiment("small-cnn/1")
    layer = exp.layer("features")
    with pytest.raises(UnknownNameError, match=r"metric 'cosinus'\. Did you mean 'cosine'\?"):
        test.nearest(test[0], by=layer, k=3, metric="cosinus")
    with pytest.raises(QueryError, match=r"nearest\(\) takes how many images it gives, at least 1, not 0"):
        test.nearest(test[0], by=layer, k=0)
    with pytest.raises(QueryError, match=r"The vector has 3 numbers, those of 'small-cnn/1:features' have 8"):
        test.nearest([1.0, 2.0, 3.0], by=layer, k=3).run()
    with pytest.raises(QueryError, match="a vector of finite numbers"):
        test.nearest([1.0, float("nan")], by=layer, k=3)
    with pytest.raises(QueryError, match=r'by= takes a layer, as in exp\.layer\("features"\), .*, not \'features\''):
        test.nearest(test[0], by="features", k=3)
    with pytest.raises(UnknownNameError, match=r"selection method 'facility'"):
        test.representative(3, by=layer, method="facility")
    with pytest.raises(UnknownNameError, match=r"'fetures'\. Did you mean 'features'\?"):
        test.representative(3, by=exp.layer("fetures"))


def test_torch_items_are_in_the_querys_order(retina: og.Workspace) -> None:
    test = retina.images("retina-test").order_by(F("id").desc())
    items = test.to_torch(model="small-cnn")
    assert len(items) == example.IMAGES
    labels = [example.NAMES[items[n][1]] for n in range(5)]
    assert labels == test[:5].to_arrow("label").column("label").to_pylist()
    pixels, target = test.to_torch(classes=["normal", "drusen", "DME"])[0]
    assert tuple(pixels.shape) == (1, 8, 8)
    np.testing.assert_array_equal(pixels.numpy()[0], test[0].pixels[:, :, 0])  # unscaled without a model
    assert ["normal", "drusen", "DME"][target] == test[0].label
    with pytest.raises(QueryError, match="leave classes= out"):
        test.to_torch(model="small-cnn", classes=["a", "b"])
