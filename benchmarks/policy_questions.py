"""What `benchmarks.policy` asks: layers of two networks, over few and many images, in four kinds of question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import odin_graph as og
from benchmarks.neuron_models import VggLike
from benchmarks.pictures import crops, fashion
from odin_graph import neurons
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units.unit_reader import UnitReader

Keys = NDArray[np.int64]

K: Final = 20
SIDE: Final = 96
"""Of photographs."""


@dataclass(frozen=True)
class Asked:
    """A layer, and how often the workload asks it."""

    checkpoint: str
    layer: str
    view: Any
    width: int
    keys: Keys
    weight: int


def prepared(db: og.Workspace, number: int, photographs: int) -> list[Asked]:
    """Images, and networks whose layers are narrow, wide, cheap and dear."""
    pixels, _ = fashion()
    db.images.add(images=pixels[:number], metadata={"of": ["fashion"] * number}, progress=False)
    db.images.add(
        images=crops(photographs, SIDE), metadata={"of": ["photographs"] * photographs}, prefix="crop", progress=False
    )
    small = db.models.add(
        "vgg-like", VggLike(), preprocess=[og.ops.ToFloat()], classes=list("0123456789"), input_shape=(1, 28, 28)
    )
    with db.run(small) as training:
        cheap = training.add_checkpoint(VggLike().eval(), best=True).id
    from torchvision.models import resnet18

    large = db.models.add(
        "resnet18",
        resnet18(),
        preprocess=[og.ops.ToFloat()],
        classes=[str(n) for n in range(1000)],
        input_shape=(3, SIDE, SIDE),
    )
    with db.run(large) as training:
        dear = training.add_checkpoint(resnet18().eval(), best=True).id
    every = db.images().where(og.F("of") == "fashion").keys()
    some = db.images().where(og.F("of") == "photographs").keys()
    return [
        Asked(cheap, "relu", "units", 2048, every, 6),
        Asked(cheap, "features.1", "units", 16 * 28 * 28, every, 2),
        Asked(cheap, "features.4", "channels-max", 32, every, 3),
        Asked(cheap, "head", "units", 10, every, 3),
        Asked(dear, "layer4", "units", 512 * 3 * 3, some, 2),
        Asked(dear, "layer3", "channels-mean", 256, some, 2),
    ]


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked."""

    of: Callable[[UnitReader], list[Any]]
    every: bool = False
    """Whether the value of each image is wanted."""


def question(draw: np.random.Generator, one: Asked) -> tuple[Keys, UnitGroup, Ask]:
    """A question to a layer: a group of units, some of its images, one of four kinds."""
    share = float(draw.choice([0.002, 0.02, 0.2, 1.0], p=[0.2, 0.2, 0.25, 0.35]))
    number = max(K + 1, int(share * len(one.keys)))
    start = int(draw.integers(len(one.keys) - number + 1))
    keys = one.keys[start : start + number]
    size = min(one.width, int(draw.choice([1, 3, 10, 100])))
    numbers = tuple(np.sort(draw.choice(one.width, size, replace=False)).tolist())
    group = UnitGroup("", one.layer, numbers, one.checkpoint, one.view)
    mean = neurons.aggregate("mean")
    kind = draw.choice(["highest", "nearest", "condition", "values"], p=[0.4, 0.3, 0.15, 0.15])
    if kind == "highest":
        return keys, group, Ask(lambda reader: reader.highest(mean, K, keys, largest=True).keys.tolist())
    if kind == "nearest":
        to = draw.normal(size=size)
        return keys, group, Ask(lambda reader: reader.nearest(to, "l2", K, keys, None).keys.tolist())
    if kind == "condition":
        edge = float(draw.normal())
        return keys, group, Ask(lambda reader: reader.compare(mean, ">", edge, keys).true.tolist())
    return keys, group, Ask(lambda reader: np.round(reader.measured(mean, keys).values, 3).tolist(), every=True)
