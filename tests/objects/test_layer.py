"""Layers of an experiment, through what users call: train, save, ask for vectors, search."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import odin_graph as og
from tests.runtime.digits import PREPROCESS, add_digits, as_inputs, digits, trained
from tests.runtime.networks import SmallNet

CLASSES = tuple(range(10))


@pytest.fixture
def experiment(db: og.Workspace) -> og.Experiment:
    """Two checkpoints: a fresh network, then the trained one as the best."""
    add_digits(db._stores, 200)
    db.datasets.add("digits", db.images())
    model = db.models.add("small", SmallNet, preprocess=PREPROCESS, classes=CLASSES, input_shape=(1, 28, 28))
    with db.run(model, id="first", train="digits") as run:
        run.add_checkpoint(trained(), best=True, epoch=1)
        run.add_checkpoint(SmallNet(), epoch=2)
    return run.experiment


def test_vectors_are_those_of_the_best_checkpoint_in_the_querys_order(
    db: og.Workspace, experiment: og.Experiment
) -> None:
    layer = experiment.layer("norm", pooling="max")
    assert experiment.best_checkpoint() is not None
    assert (layer.checkpoint, layer.type, layer.shape) == (experiment.best_checkpoint().id, "BatchNorm2d", (16, 13, 13))
    found = layer.embeddings(db.images("digits")[10:14])
    module = trained()
    with torch.no_grad():
        maps = module.norm(module.second(module.first(as_inputs(digits()[0][10:14])).relu()))
    np.testing.assert_allclose(found, maps.amax((2, 3)).numpy(), atol=1e-5)
    np.testing.assert_array_equal(layer.embeddings(["digit-12", "digit-10"]), found[[2, 0]])
    assert repr(layer) == f"Layer('norm' of {layer.checkpoint!r}: BatchNorm2d, 16 x 13 x 13, max pooling)"


def test_another_checkpoint_says_other_things(db: og.Workspace, experiment: og.Experiment) -> None:
    last = experiment.checkpoints()[-1]
    other = experiment.layer("head", checkpoint=last)
    assert other.checkpoint == last.id
    images = db.images("digits")[:5]
    assert not np.allclose(other.embeddings(images), experiment.layer("head").embeddings(images), atol=1e-2)


def test_the_head_says_what_was_predicted(db: og.Workspace, experiment: og.Experiment) -> None:
    experiment.predict("digits")
    logits = experiment.layer("head").embeddings(db.images("digits"))
    said = db.images("digits").with_columns(said=experiment.predicted).to_arrow("id")
    assert said.column("said").to_pylist() == logits.argmax(1).tolist()


def test_nearest_by_a_layer_is_a_full_scan_by_hand(db: og.Workspace, experiment: og.Experiment) -> None:
    pytest.importorskip("faiss")
    layer = experiment.layer("norm")
    vectors = layer.embeddings(db.images("digits")).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = [place for place in np.argsort(1 - unit @ unit[3], kind="stable") if place != 3][:5]
    found = db.images("digits").nearest(db.image("digit-3"), by=layer, k=5).to_arrow("id")
    assert found.column("id").to_pylist() == [f"digit-{place}" for place in expected]


def test_names_and_missing_checkpoints_are_errors(db: og.Workspace, experiment: og.Experiment) -> None:
    with pytest.raises(
        og.errors.UnknownNameError, match=r"no layer of the model 'small': 'nrom'. Did you mean 'norm'\?"
    ):
        experiment.layer("nrom")
    with pytest.raises(og.errors.UnknownNameError, match="no pooling 'median'"):
        experiment.layer("norm", pooling="median")
    with pytest.raises(og.errors.QueryError, match="relu#1, relu#2"):
        experiment.layer("relu")
    with db.run("small", id="empty") as run:
        pass
    with pytest.raises(og.errors.QueryError, match="'empty' has no checkpoint"):
        run.experiment.layer("norm")


def spread(values: np.ndarray) -> float:
    return float(values.max() - values.min())


def test_a_function_of_activations_and_predictions(db: og.Workspace, experiment: og.Experiment) -> None:
    """What `map` calls a function on need not be the image."""
    images = db.images("digits")[3:20]
    layer = experiment.layer("norm")
    module = trained()
    with torch.no_grad():
        maps = module.norm(module.second(module.first(as_inputs(digits()[0][3:20])).relu())).numpy()
    np.testing.assert_allclose(layer.activations(images), maps, atol=1e-5)
    found = images.map(lambda each: each.shape, over=layer.activations)
    assert set(found) == {(16, 13, 13)}
    named = images.map(spread, "spread", over=layer.activations)
    np.testing.assert_allclose(named, maps.reshape(17, -1).max(1) - maps.reshape(17, -1).min(1), atol=1e-5)
    assert db.images("digits")[3:20].to_pandas("spread")["spread"].tolist() == named.tolist()
    few = images.map(spread, over=layer.units[[2, 5]].values)
    np.testing.assert_allclose(few, np.abs(maps[:, 0, 0, 2] - maps[:, 0, 0, 5]), atol=1e-5)
    largest = images.map(np.argmax, over=layer.embeddings)
    assert largest.tolist() == maps.mean((2, 3)).argmax(1).tolist()

    predictions = experiment.predict("digits", progress=False)
    with torch.no_grad():
        expected = module(as_inputs(digits()[0][3:20])).softmax(1).numpy()
    seconds = images.map(lambda each: int(np.argsort(each.probabilities)[-2]), over=predictions.of_images)
    assert seconds.tolist() == expected.argsort(1)[:, -2].tolist()
    assert images.map(lambda each: each.predicted, over=predictions.of_images).tolist() == expected.argmax(1).tolist()
    by_digit = images.map(
        lambda each: max(one.confidence for one in each), over=predictions.of_images, group_by="label"
    )
    labels = digits()[1][3:20]
    assert by_digit.to_dict() == pytest.approx(
        {int(label): expected.max(1)[labels == label].max() for label in labels}, abs=1e-5
    )
    with pytest.raises(og.DataError, match="over= gave 2 values for 1 images"):
        images.map(spread, over=lambda keys: [0, 0])
    with pytest.raises(og.QueryError, match=r"cannot be called with keys: give layer\.activations"):
        images.map(spread, over=layer)
    with pytest.raises(og.DataError, match="cannot be stored as metadata"):
        images.map(lambda each: each, "maps", over=layer.activations)
    with pytest.raises(og.QueryError, match="have no prediction in"):
        predictions.of_images(db.images.add(images=digits()[0][:2], prefix="new", progress=False).images())
