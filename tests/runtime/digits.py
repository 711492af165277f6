"""Real digits, and a small network that has learned a little from them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import add_model
from odin_graph.ops import Normalize, ToFloat
from odin_graph.runtime.models.describe import describe
from odin_graph.stores import Stores
from tests.mnist import mnist
from tests.runtime.networks import SmallNet

PREPROCESS = (ToFloat(), Normalize(mean=0.13, std=0.31))


@cache
def digits(count: int = 300) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 28, 28) and labels, in an order drawn by chance."""
    pixels, labels = mnist()
    order = np.random.default_rng(5).permutation(len(labels))[:count]
    return pixels[order], labels[order]


def as_inputs(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """What the preprocessing gives, written by hand."""
    return (torch.from_numpy(pixels)[:, None].float() / 255 - 0.13) / 0.31


@cache
def trained() -> nn.Module:
    """A network after a few steps."""
    torch.manual_seed(0)
    pixels, labels = digits()
    module = SmallNet()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(8):
        for part in torch.randperm(len(labels)).split(50):
            optimizer.zero_grad()
            said = module(as_inputs(pixels[part.numpy()]))
            nn.functional.cross_entropy(said, torch.from_numpy(labels)[part]).backward()
            optimizer.step()
    return module.eval()


def add_digits(stores: Stores, count: int = 300) -> NDArray[np.int64]:
    """Store digits; their keys, in order."""
    pixels, labels = digits()
    ids = [f"digit-{place}" for place in range(count)]
    add_images(stores, ImageBatch(ids, pixels[:count], labels=labels[:count].tolist()))
    return keys_of(stores, ids)


def add_trained(stores: Stores) -> str:
    """Store the network and its weights; the checkpoint's id."""
    record = describe(
        stores, "small", SmallNet, preprocess=PREPROCESS, classes=tuple(range(10)), input_shape=(1, 28, 28)
    )
    add_model(stores, record)
    return add_checkpoint(stores, "small", trained(), id="small/trained")
