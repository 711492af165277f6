"""The torch data set: the right tensors, in any process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.errors import DataError
from odin_graph.ops import Pipeline
from odin_graph.runtime.training.targets import targets_of
from odin_graph.runtime.training.torch_dataset import PixelDataset
from odin_graph.stores import Stores
from tests.runtime.digits import PREPROCESS, add_digits, as_inputs, digits

pytestmark = pytest.mark.one_engine


def dataset(stores: Stores, count: int = 60, **more: object) -> PixelDataset:
    targets = targets_of(digits()[1][:count].tolist(), "multi-class", tuple(range(10)))
    return PixelDataset(stores.address, add_digits(stores, count), targets, pipeline=Pipeline(PREPROCESS), **more)


def halved(x: torch.Tensor) -> torch.Tensor:
    return x / 2


def test_items_are_preprocessed_tensors_and_class_indexes(stores: Stores) -> None:
    held = dataset(stores)
    image, target = held[7]
    assert (image.dtype, image.shape, len(held)) == (torch.float32, (1, 28, 28), 60)
    torch.testing.assert_close(image, as_inputs(digits()[0])[7])
    assert target == digits()[1][7]
    assert held[-1][1] == digits()[1][59]
    with pytest.raises(IndexError):
        held[60]
    for (one, label), place in zip(held.__getitems__([3, 1, 3]), [3, 1, 3], strict=True):
        torch.testing.assert_close(one, held[place][0])
        assert label == held[place][1]


def test_without_a_model_values_are_unscaled(stores: Stores) -> None:
    add_images(stores, ImageBatch(["deep"], np.full((1, 5, 6, 2), 40_000, np.uint16)))
    held = PixelDataset(stores.address, keys_of(stores, ["deep"]), [0], transform=halved)
    assert torch.equal(held[0][0], torch.full((2, 5, 6), 20_000.0))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_by_themselves(stores: Stores, start: str) -> None:
    """The parent has read already, so that a forked child inherits what it must not use."""
    held = dataset(stores, transform=halved)
    held[0]
    loader = DataLoader(held, batch_size=16, shuffle=True, num_workers=2, multiprocessing_context=start)
    seen = list(loader)
    assert sum(len(labels) for _, labels in seen) == 60
    total = torch.cat([images for images, _ in seen]).sum()
    torch.testing.assert_close(total, as_inputs(digits()[0][:60]).sum() / 2, rtol=1e-4, atol=1e-2)
    assert sorted(torch.cat([labels for _, labels in seen]).tolist()) == sorted(digits()[1][:60].tolist())


def test_it_pickles_without_a_connection(stores: Stores) -> None:
    held = dataset(stores)
    held[0]
    again = pickle.loads(pickle.dumps(held))
    torch.testing.assert_close(again[5][0], held[5][0])


def test_targets_are_in_the_order_of_the_classes() -> None:
    assert targets_of(["b", "a", "b"], "multi-class", ("b", "a")).tolist() == [0, 1, 0]
    assert targets_of(["b", "a", "b"], "multi-class", None).tolist() == [1, 0, 1]
    assert targets_of([["x"], ["y", "x"], []], "multi-label", ("x", "y")).tolist() == [[1, 0], [1, 1], [0, 0]]
    assert targets_of([1.5, 2], "regression", None).dtype == np.float32
    with pytest.raises(DataError, match="1 of 2 images have no label"):
        targets_of(["a", None], "multi-class", ("a",))
    with pytest.raises(DataError, match="'c' at position 1"):
        targets_of(["a", "c"], "multi-class", ("a", "b"))
