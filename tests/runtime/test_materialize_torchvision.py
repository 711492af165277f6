"""Networks of torchvision: residual blocks whose ReLU runs twice and in place, attention that returns tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import add_model
from odin_graph.errors import ShapeError
from odin_graph.ops import ToFloat
from odin_graph.runtime.models.describe import describe
from odin_graph.runtime.passes.materialize import materialize, plan_units
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores

pytestmark = pytest.mark.one_engine

NUMBER, SIDE = 12, 32
PIXELS = np.random.default_rng(0).integers(0, 255, (NUMBER, SIDE, SIDE, 3), np.uint8)
VIT = {"image_size": SIDE, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}


def prepared(stores: Stores, factory: str, kwargs: dict[str, Any]) -> tuple[NDArray[np.int64], str, nn.Module]:
    """Keys, checkpoint and module of a network with random weights."""
    add_images(stores, ImageBatch([f"i{place}" for place in range(NUMBER)], list(PIXELS)))
    record = describe(stores, "net", factory, kwargs=kwargs, preprocess=(ToFloat(),), input_shape=(3, SIDE, SIDE))
    add_model(stores, record)
    from odin_graph.catalog.records.files import StoredFiles
    from odin_graph.runtime.models.model import build_model

    torch.manual_seed(0)
    module = build_model(StoredFiles(stores), record)
    with torch.no_grad():
        for name, held in module.named_parameters():  # the head of a new ViT says nothing but zeros
            if "head" in name:
                held.normal_(std=0.1)
    keys = keys_of(stores, [f"i{place}" for place in range(NUMBER)])
    return keys, add_checkpoint(stores, "net", module, id="net/1"), module.eval()


def by_hand(module: nn.Module, names: dict[str, Callable[[list[Tensor]], Tensor]]) -> dict[str, NDArray[np.float32]]:
    """What hooks of our own hear, all calls of each."""
    heard: dict[str, list[Tensor]] = {}
    for name in {one.partition("#")[0] for one in names}:

        def keep(_module: nn.Module, _args: object, output: Any, name: str = name) -> None:
            held = output[0] if isinstance(output, tuple) else output
            heard.setdefault(name, []).append(held.detach().clone())

        dict(module.named_modules())[name].register_forward_hook(keep)
    with torch.no_grad():
        module(torch.from_numpy(PIXELS).permute(0, 3, 1, 2).float() / 255)
    return {name: take(heard[name.partition("#")[0]]).numpy() for name, take in names.items()}


@pytest.mark.parametrize(
    ("factory", "kwargs", "layers"),
    [
        ("torchvision.models:resnet18", {}, ["conv1", "layer1.0.relu#1", "layer1.0.relu#2", "layer4", "avgpool", "fc"]),
        (
            "torchvision.models:VisionTransformer",
            VIT,
            [
                "encoder.layers.encoder_layer_0.self_attention",
                "encoder.layers.encoder_layer_1.mlp",
                "encoder.ln",
                "heads.head",
            ],
        ),
        ("torchvision.models:efficientnet_b0", {}, ["features.2.0.block.2.activation", "features.3", "classifier.1"]),
    ],
    ids=["resnet18", "vit", "efficientnet_b0"],
)
def test_real_networks(stores: Stores, factory: str, kwargs: dict[str, Any], layers: list[str]) -> None:
    keys, checkpoint, module = prepared(stores, factory, kwargs)
    wants = [Want(layer, codec="f32") for layer in layers] + [Want(layers[0], "channels-max", "f32")]
    plan = plan_units(stores, checkpoint, wants, keys)
    ids = materialize(stores, checkpoint, wants, keys, batch=5)
    calls = {layer: int(layer.partition("#")[2] or 1) - 1 for layer in layers}
    said = by_hand(module, {layer: lambda heard, call=call: heard[call] for layer, call in calls.items()})  # type: ignore[misc]
    units = 0
    for layer, id_ in zip(layers, ids, strict=False):
        held = UnitSet.open(stores, id_)
        assert held.record.shape == said[layer].shape[1:]
        units += held.record.units
        group = np.unique(np.linspace(0, held.record.units - 1, 40).astype(np.int64))
        expected = said[layer].reshape(NUMBER, -1)[:, group]
        np.testing.assert_allclose(held.values(group, keys), expected, atol=1e-4)
        off = np.abs(Rerun.of(stores, held.record, checkpoint, layer, group)(keys[:3]) - held.values(group, keys[:3]))
        assert (off <= held.noise(group)).all()
    assert plan.stored > 4 * NUMBER * units
    channels = UnitSet.open(stores, ids[-1])
    first = said[layers[0]]
    largest = first.max(axis=1) if first.ndim == 3 else first.reshape(NUMBER, first.shape[1], -1).max(axis=2)
    np.testing.assert_allclose(channels.values(np.arange(channels.record.units), keys), largest, atol=1e-4)


def test_images_that_the_model_refuses_are_said(stores: Stores) -> None:
    keys, checkpoint, _ = prepared(stores, "torchvision.models:VisionTransformer", VIT)
    add_images(stores, ImageBatch(["wide"], [np.zeros((SIDE, 2 * SIDE, 3), np.uint8)]))
    wide = keys_of(stores, ["wide"])
    with pytest.raises(ShapeError, match="The model 'net' refuses images of shape"):
        materialize(stores, checkpoint, [Want("encoder.ln")], wide)
    assert stores.graph.read("MATCH (s:ActivationSet) RETURN count(s) AS n") == [{"n": 0}]
    with pytest.raises(ShapeError, match="The model 'net' refuses images of shape"):
        materialize(stores, checkpoint, [Want("encoder.ln")], np.concatenate([keys, wide]))


def test_images_of_other_sizes_have_other_units(stores: Stores) -> None:
    keys, checkpoint, _ = prepared(stores, "torchvision.models:resnet18", {})
    add_images(stores, ImageBatch(["wide"], [np.zeros((SIDE, 2 * SIDE, 3), np.uint8)]))
    wide = keys_of(stores, ["wide"])
    with pytest.raises(ShapeError, match="gives 16384 units of one image and 32768 of another"):
        materialize(stores, checkpoint, [Want("conv1")], np.concatenate([keys, wide]), batch=1)
    (made,) = materialize(stores, checkpoint, [Want("conv1", "channels-mean")], np.concatenate([keys, wide]), batch=1)
    assert len(UnitSet.open(stores, made).coverage()) == NUMBER + 1
