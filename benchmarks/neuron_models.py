"""The two layers in the benchmarks of units, and how they are stored.

- *VGG-like*: a network trained on Fashion-MNIST for one epoch; 2,048 units after a ReLU, over 60,000 images. More
  than half of the values are zero, and a code of zero is exact.
- *lite0*: EfficientNet-lite0, trained on ImageNet, over 5,000 crops of photographs of 224 x 224 pixels. The layer is
  the output of the last block, 320 x 7 x 7 = 15,680 units. No activation function follows, so the values have both
  signs, no code is exact, and the bounds have to do all the work. (The ReLU6 after it has 62,720 units. They would
  take four times the space, and would be of the same kind as in the first model.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import odin_graph as og
from benchmarks.pictures import fashion
from benchmarks.pretrained import lite0_over_crops
from benchmarks.report import Row
from odin_graph.arrays import UnitArray
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.neurons import Block, Part, Values
from odin_graph.runtime.passes.materialize import materialize
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores

CODECS: Final[tuple[UnitCodec, ...]] = ("u8", "f16", "f32")
_SLAB: Final = 512
"""Units at once on their way into memory."""

Numbers = NDArray[np.int64]


class VggLike(nn.Module):
    """Two pairs of convolutions, and a layer of 2,048 units behind a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.wide = nn.Linear(32 * 7 * 7, 2048)
        self.relu = nn.ReLU()
        self.head = nn.Linear(2048, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) in, (n, 10) out."""
        head: Tensor = self.head(self.relu(self.wide(self.features(x))))
        return head


@dataclass(frozen=True, eq=False)
class Stored:
    """A layer over the images: its codes, its values, and the model."""

    name: str
    relu: bool
    """Whether it is behind a ReLU, as the goals for codes ask for."""
    turns: int
    """How often it is timed what runs the model on many images."""
    every: int
    """Of running it on all images only one in so many is timed."""
    stores: Stores
    checkpoint: str
    layer: str
    sets: dict[UnitCodec, UnitSet]
    values: NDArray[np.float32]
    """(U, n), in memory: NumPy's side."""
    keys: Numbers

    @property
    def units(self) -> int:
        """U."""
        return len(self.values)

    @property
    def coded(self) -> UnitSet:
        """The codes."""
        return self.sets["u8"]

    def blocks(self, group: Numbers) -> list[Part]:
        """Codes of a group."""
        return [Block(held.keys, held.values, *held.tables()) for held in self.coded.blocks(group)]

    def columns(self, group: Numbers, *, keep: bool = True) -> list[Part]:
        """Values of a group; they come from TileDB where they were never kept."""
        return [Values(held.keys, held.decoded()) for held in self.sets["f32"].blocks(group, keep=keep)]

    def again(self, group: Numbers) -> Rerun:
        """The model."""
        return Rerun.of(self.stores, self.coded.record, self.checkpoint, self.layer, group)


def vgg_like(db: og.Workspace, quick: bool) -> tuple[list[Row], Stored]:
    """Train the first model, and store its layer."""
    torch.manual_seed(0)
    number = 6_000 if quick else 60_000
    pixels, labels = (held[:number] for held in fashion())
    db.images.add(images=pixels, prefix="fashion", metadata={"of": ["fashion"] * number}, progress=False)
    model = db.models.add("vgg-like", VggLike, preprocess=[og.ops.ToFloat()], input_shape=(1, 28, 28))
    net = _trained(torch.from_numpy(pixels).float()[:, None] / 255, torch.from_numpy(labels).long(), quick)
    model.add_checkpoint(net, id="vgg-like/1")
    keys = db.images().where(og.F("of") == "fashion").keys()
    return _stored(db, "VGG-like", "vgg-like/1", "relu", keys, relu=True, turns=3, every=1)


def lite0(db: og.Workspace, quick: bool) -> tuple[list[Row], Stored]:
    """Store a late layer of the pretrained network."""
    keys, checkpoint = lite0_over_crops(db, 150 if quick else 5_000)
    return _stored(db, "lite0", checkpoint, "_blocks.15", keys, relu=False, turns=1, every=5)


def _stored(
    db: og.Workspace, name: str, checkpoint: str, layer: str, keys: Numbers, *, relu: bool, turns: int, every: int
) -> tuple[list[Row], Stored]:
    """Store a layer in every codec, in one pass."""
    stores = db._stores  # noqa: SLF001 - below what users hold
    began = time.perf_counter()
    ids = materialize(stores, checkpoint, [Want(layer, codec=codec) for codec in CODECS], keys, progress=False)
    took = time.perf_counter() - began
    sets = {codec: UnitSet.open(stores, id_) for codec, id_ in zip(CODECS, ids, strict=True)}
    held = sets["f32"].array
    stored = Stored(name, relu, turns, every, stores, checkpoint, layer, sets, _values(held), held.coverage())
    title = f"{name}: {stored.units:,} units x {len(keys):,} images run and stored in {len(CODECS)} codecs"
    return [Row(title, took, "s")], stored


def _values(held: UnitArray) -> NDArray[np.float32]:
    """All of it (units, n), in order of the keys; nothing of it is kept in the cache."""
    keys = held.coverage()
    values = np.empty((held.units, len(keys)), np.float32)
    for start in range(0, held.units, _SLAB):
        units = np.arange(start, min(start + _SLAB, held.units))
        for block in held.blocks(units, keep=False):
            values[units[0] : units[-1] + 1, np.searchsorted(keys, block.keys)] = block.decoded()
    return values


def _trained(inputs: Tensor, labels: Tensor, quick: bool) -> nn.Module:
    """One epoch; of the quick run a part of it."""
    net, batch = VggLike(), 128
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    order = torch.randperm(len(inputs))[: 2_560 if quick else None]
    for start in range(0, len(order), batch):
        at = order[start : start + batch]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs[at]), labels[at]).backward()
        optimizer.step()
    return net.eval()
