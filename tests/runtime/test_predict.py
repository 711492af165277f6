"""Predictions agree with a plain torch loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import add_model
from odin_graph.errors import ModelError, ShapeError, UnknownNameError
from odin_graph.runtime.models.describe import describe
from odin_graph.runtime.passes.predict import predict_batches
from odin_graph.runtime.pixels import pixels as pixel_reading
from odin_graph.stores import Stores
from tests.runtime.digits import PREPROCESS, add_digits, add_trained, as_inputs, digits, trained
from tests.runtime.networks import Fixed, SmallNet


@pytest.mark.parametrize("batch", [None, 7])
def test_predictions_are_those_of_a_plain_loop(
    stores: Stores, batch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_reading, "MOST_ROWS", 64)  # several blocks
    keys, checkpoint = add_digits(stores), add_trained(stores)
    said = list(predict_batches(stores, checkpoint, keys[::-1], batch=batch, device="cpu"))
    found = np.concatenate([part for part, _ in said])
    assert found.tolist() == sorted(keys)
    with torch.no_grad():
        expected = trained()(as_inputs(digits()[0])).softmax(1).numpy()
    place = np.searchsorted(found, keys)
    probabilities = np.concatenate([held.probabilities for _, held in said])[place]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    predicted = np.concatenate([held.predicted for _, held in said])[place]
    assert predicted.tolist() == expected.argmax(1).tolist()
    assert (predicted == digits()[1]).mean() > 0.25  # by chance it is 0.1: the weights are those that were trained


def test_images_of_other_shapes_go_through_a_resize(stores: Stores) -> None:
    pixels, _ = digits()
    images = [pixels[0], pixels[1][:20, :24], np.repeat(pixels[2], 2, axis=0)]
    add_images(stores, ImageBatch(["a", "b", "c"], images))
    record = describe(
        stores, "fixed", Fixed, preprocess=["to-grayscale", {"op": "resize", "parameters": {"size": [28, 28]}},
        *PREPROCESS], classes=tuple(range(10)), input_shape=(1, 28, 28),
    )  # fmt: skip
    add_model(stores, record)
    checkpoint = add_checkpoint(stores, "fixed", Fixed())
    said = list(predict_batches(stores, checkpoint, keys_of(stores, ["a", "b", "c"])))
    assert sum(len(part) for part, _ in said) == 3


def test_a_shape_that_the_model_refuses_is_named(stores: Stores) -> None:
    add_images(stores, ImageBatch(["wide"], np.zeros((1, 28, 40), np.uint8)))
    record = describe(stores, "fixed", Fixed, preprocess=PREPROCESS, classes=tuple(range(10)), input_shape=(1, 28, 28))
    add_model(stores, record)
    checkpoint = add_checkpoint(stores, "fixed", Fixed())
    with pytest.raises(ShapeError, match=r"'fixed' refuses images of shape \(1, 28, 40\).*input_shape=\(1, 28, 28\)"):
        list(predict_batches(stores, checkpoint, keys_of(stores, ["wide"])))


def test_mixed_shapes_without_a_resize_are_refused(stores: Stores) -> None:
    add_images(stores, ImageBatch(["a", "b"], [np.zeros((28, 40), np.uint8), np.zeros((28, 28), np.uint8)]))
    checkpoint = add_trained(stores)
    with pytest.raises(ShapeError, match="2 different shapes after preprocessing"):
        list(predict_batches(stores, checkpoint, keys_of(stores, ["a", "b"])))


def test_a_model_without_a_task_cannot_predict(stores: Stores) -> None:
    add_model(stores, describe(stores, "bare", SmallNet))
    checkpoint = add_checkpoint(stores, "bare", SmallNet())
    with pytest.raises(ModelError, match="'bare' does not say what its outputs mean"):
        list(predict_batches(stores, checkpoint, add_digits(stores, 3)))


def test_an_unknown_checkpoint_lists_them(stores: Stores) -> None:
    add_trained(stores)
    with pytest.raises(UnknownNameError, match=r"no checkpoint 'small/trainde'. Did you mean 'small/trained'"):
        list(predict_batches(stores, "small/trainde", np.array([1])))
