"""Units of models that are unlike most: of no known input, with a layer of no rows, over images of several sizes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import odin_graph as og
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.images.images import ImageBatch, add_images
from odin_graph.errors import QueryError, ShapeError
from odin_graph.runtime.models.determinism import on_the_cpu
from odin_graph.runtime.models.loaded import Wanted, shared

from .unit_world import Quarters, answering, capture, module

pytestmark = pytest.mark.one_engine


class Total(nn.Module):
    """One number of a whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


class WithTotal(nn.Module):
    """A layer that says nothing of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.total = nn.Conv2d(1, 3, 3, padding=1), Total()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.conv(x)
        self.total(said)
        return said.mean(dim=(2, 3))


def add(db: og.Workspace, *shapes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 8, shape).astype(np.uint8) for shape in shapes]
    add_images(db._stores, ImageBatch([f"{n}.png" for n in range(len(shapes))], pixels))
    return pixels


def test_a_model_without_an_input_shape(db: og.Workspace) -> None:
    """Nobody knows its units before it runs, and its answers are right all the same."""
    pixels = np.stack(add(db, *[(5, 5)] * 40))
    model = db.models.add("free", Quarters, classes=["a", "b", "c"], task="multi-class")
    with db.run(model) as run:
        run.add_checkpoint(module(3), best=True)
    layer = run.experiment.layer("conv")
    said = capture(module(3), pixels)["conv"].reshape(40, -1).astype(np.float64)
    keys = db.images().keys()
    mean = said[:, [3, 50]].mean(axis=1)
    top = db.images().order_by(layer.units[[3, 50]].mean().desc()).limit(5)
    assert top.keys().tolist() == keys[np.lexsort((keys, -mean))[:5]].tolist()
    for number in (-1, 2**70):
        with pytest.raises(QueryError, match=f"There is no unit {number}: those of 'conv' are numbered from 0"):
            db.images().order_by(layer.units[number])
    with pytest.raises(QueryError, match="There is no unit 100"):
        db.images().order_by(layer.units[100]).run()
    with pytest.raises(ShapeError, match=r"gives 36 numbers for an image of shape \(3, 3, 1\), but more than 50 for"):
        db.images().nearest(np.zeros((3, 3), np.uint8), by=layer.units[[3, 50]], k=2)
    layer.materialize(db.images())
    with pytest.raises(ShapeError, match=r"gives 36 numbers for an image of shape \(3, 3, 1\), but 100 for"):
        db.images().nearest(np.zeros((3, 3), np.uint8), by=layer.units[[3, 50]], k=2)


def test_a_layer_that_says_nothing_of_an_image(db: og.Workspace) -> None:
    add(db, *[(5, 5)] * 4)
    model = db.models.add("total", WithTotal, classes=["a", "b", "c"], task="multi-class", input_shape=(1, 5, 5))
    with db.run(model) as run:
        run.add_checkpoint(WithTotal(), best=True)
    with pytest.raises(ShapeError, match=r"The layer 'total' gives outputs of shape \(\): no numbers an image"):
        run.experiment.layer("total").materialize(db.images())


def test_images_of_several_sizes(db: og.Workspace) -> None:
    """Their channels can be asked, and their units cannot."""
    pixels = add(db, *[(5, 5), (6, 4), (5, 5), (7, 7), (6, 4), (4, 6)] * 5)
    model = db.models.add("free", Quarters, classes=["a", "b", "c"], task="multi-class")
    with db.run(model) as run:
        run.add_checkpoint(module(3), best=True)
    layer = run.experiment.layer("conv")
    refused = "ask for its channels, or add the model with a preprocess= that resizes"
    with pytest.raises(ShapeError, match=refused):
        db.images().order_by(layer.units[3]).run()
    names = [f"{n}.png" for n in range(30)]
    square, tall, wide = names[::6], names[1::6], names[5::6]
    with pytest.raises(ShapeError, match=rf"outputs of shape \(4, 6, 4\) of one image and .* {refused}"):
        layer.units[[3]].values(tall + wide)  # as many, of other places
    held = layer.materialize(square, codec="f32")
    with pytest.raises(ShapeError, match=rf"what is stored of it is of shape \(4, 5, 5\), .* {refused}"):
        layer.materialize(names[3::6], codec="f32")
    with answering("read", "f32"), pytest.raises(ShapeError, match=refused):
        db.images([*square, names[3]]).order_by(layer.units[3]).run()
    held.delete()
    for codec in ("u8", "f32"):
        held = layer.materialize(tall, codec=codec)
        with (
            answering("read", codec),
            pytest.raises(ShapeError, match=rf"outputs of shape \(4, 6, 4\) of one image and .* {refused}"),
        ):
            db.images([*tall, *wide]).order_by(layer.units[3]).run()  # as many units beside those that are stored
        held.delete()
    said = np.array([capture(module(3), one[None])["conv"][0].max(axis=(1, 2)) for one in pixels], np.float64)
    keys = db.images().keys()
    expected = keys[np.lexsort((keys, -said[:, 2]))[:7]].tolist()
    layer.materialize(db.images(), view="channels-max", codec="u8")
    for _ in ("by codes and what is run again", "by values"):
        assert db.images().order_by(layer.channels[2].desc()).limit(7).keys().tolist() == expected
        layer.materialize(db.images(), view="channels-max", codec="f32")


@pytest.mark.parametrize("codec", ["u8", "f16", "f32"])
def test_answers_after_a_purge(db: og.Workspace, codec: UnitCodec) -> None:
    """What is left is found exactly, also where the images that went said the most and the least."""
    pixels = np.stack(add(db, *[(5, 5)] * 60))
    model = db.models.add("quarters", Quarters, classes=["a", "b", "c"], task="multi-class", input_shape=(1, 5, 5))
    with db.run(model) as run:
        run.add_checkpoint(module(3), best=True)
    for name in ("conv", "relu"):
        layer, group = run.experiment.layer(name), np.array([3, 50, 80])
        layer.materialize(db.images(), codec=codec)
        said = capture(module(3), pixels)[name].reshape(60, -1).astype(np.float64)[:, group]
        if name == "conv":
            gone = np.unique(np.concatenate([said.argmax(axis=0), said.argmin(axis=0)]))
            db.images.purge([f"{n}.png" for n in gone])
            left = np.setdiff1d(np.arange(60), gone)
        keys, said = db.images().keys(), said[left]
        units = layer.units[group]
        for value, by in ((said.mean(axis=1), units.mean()), (said.max(axis=1), units.max())):
            found = db.images().order_by(by.desc()).limit(9).keys()
            assert found.tolist() == keys[np.lexsort((keys, -value))[:9]].tolist()
        away = np.abs(said - said[4]).sum(axis=1)
        near = db.images().nearest(said[4].tolist(), by=units, k=7, metric="l1")
        assert near.keys().tolist() == keys[np.lexsort((keys, away))[:7]].tolist()


def test_a_program_moves_to_the_cpu_and_back(db: og.Workspace) -> None:
    """To measure how far another device is off; what torch.export made cannot be copied."""
    pixels, net = np.stack(add(db, *[(5, 5)] * 10)), module(3).eval()
    model = db.models.add("program", net, classes=["a", "b", "c"], task="multi-class", input_shape=(1, 5, 5))
    with db.run(model) as run:
        checkpoint = run.add_checkpoint(net, best=True)
    with shared(Wanted(db._stores, checkpoint.id)) as (runnable, _):
        with pytest.raises(RuntimeError):
            copy.deepcopy(runnable.module)
        with torch.inference_mode(), on_the_cpu(runnable) as there:
            said = there.module(torch.from_numpy(pixels)[:, None].float())
        assert there.device.type == "cpu"
        assert {one.device.type for one in runnable.module.parameters()} == {runnable.device.type}
    with torch.no_grad():
        expected = net(torch.from_numpy(pixels)[:, None].float())
    np.testing.assert_allclose(said.numpy(), expected.numpy(), atol=1e-5)
