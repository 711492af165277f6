"""Images and a model whose units are the same numbers in every batch: whole quarters, of which many are equal.

What they are is said by torch alone, run once over pixels that were never stored: no line of ours is between.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import odin_graph as og
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.images.images import ImageBatch, add_images
from odin_graph.errors import NotFiniteWarning
from odin_graph.neurons.costs import Option, best
from odin_graph.query.units import unit_source
from odin_graph.runtime.passes.materialize import materialize
from odin_graph.runtime.passes.unit_plan import Want

IMAGES = 90
SIDE = 5
CHANNELS = 4
LATER = 30
"""Images that are added after the data set."""
LAYERS = ("conv", "relu", "odd")
CODECS: Final[dict[UnitCodec, str]] = {"u8": "quarters/1", "f32": "quarters/2", "f16": "quarters/3"}
"""How units are kept, and of which experiment. Each has weights of its own, since equal ones share what is kept."""
_POSITIONS: Final = 37
"""Of a segment, so that there are several."""


class Odd(nn.Module):
    """NaN where an image is dark there, infinity where it is bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gone = torch.where(x < -12, torch.full_like(x, torch.nan), x)
        return torch.where(x > 12, torch.full_like(x, torch.inf), gone)


class Quarters(nn.Module):
    """Whole gray values by weights of whole quarters: sums that float32 holds, in whatever order they are added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.relu = nn.ReLU()
        self.odd = Odd()
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said = self.conv(x)
        self.odd(said)
        logits: torch.Tensor = self.head(self.relu(said).mean(dim=(2, 3)))
        return logits


@dataclass(frozen=True, eq=False)
class Captured:
    """Images by key, and what every unit of every layer said of them."""

    keys: NDArray[np.int64]
    said: dict[tuple[str, str], NDArray[np.float32]]
    """Of each experiment and layer (n, channels, h, w)."""
    age: list[int | None]
    site: list[str]

    def values(self, experiment: str, layer: str, view: str = "units") -> NDArray[np.float32]:
        """(n, units), or of channels (n, channels)."""
        said = self.said[experiment, layer].reshape(len(self.keys), CHANNELS, -1)
        with np.errstate(invalid="ignore"):
            if view == "channels-max":
                return said.max(axis=2)
            return said.mean(axis=2) if view == "channels-mean" else said.reshape(len(self.keys), -1)


@contextmanager
def answering(way: str, codec: str | None = None) -> Iterator[None]:
    """Questions are answered in this way where it is open to them, whatever it costs."""

    def taken(given: Sequence[Option], later: float) -> Option:
        fit = [one for one in given if one.way == way and codec in (None, one.codec)]
        return best(fit or given, later)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_source, "best", taken)
        patch.setattr(unit_source, "FEWEST", 1)
        yield


def module(seed: int) -> Quarters:
    """With random weights of whole quarters."""
    made = Quarters()
    random = np.random.default_rng(seed)
    with torch.no_grad():
        made.conv.weight.copy_(torch.from_numpy(random.integers(-4, 5, (CHANNELS, 1, 3, 3)) / 4))
        made.conv.bias.copy_(torch.from_numpy(random.integers(-8, 9, CHANNELS) / 4))
    return made.eval()


def capture(model: Quarters, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What torch says, by hand."""
    with torch.no_grad():
        conv = model.conv(torch.from_numpy(pixels[:, None].astype(np.float32)))
        return {"conv": conv.numpy(), "relu": model.relu(conv).numpy(), "odd": model.odd(conv).numpy()}


def build(db: og.Workspace) -> Captured:
    """The data set ``small`` of most images, the others beside it, and the experiments of `CODECS`.

    What is stored covers the data set, and not what came later.
    """
    random = np.random.default_rng(7)
    number = IMAGES + LATER
    pixels = random.integers(0, 8, (number, SIDE, SIDE)).astype(np.uint8)
    pixels[3] = 0
    pixels[20:26] = pixels[40:46]
    age = [None if n % 9 == 4 else 20 + n % 40 for n in range(number)]
    site = [("Pilot", "Lima", "Graz")[n % 3] for n in range(number)]
    names = [f"small{n:03}.png" for n in range(number)]
    for some in (slice(0, IMAGES), slice(IMAGES, number)):
        labels = [str(n % 4) for n in range(number)][some]
        metadata = {"age": age[some], "site": site[some]}
        add_images(db._stores, ImageBatch(names[some], pixels[some], labels=labels, metadata=metadata))
        if some.start == 0:
            db.datasets.add("small", db.images())
    size = (1, SIDE, SIDE)
    model = db.models.add("quarters", Quarters, classes=["a", "b", "c"], task="multi-class", input_shape=size)
    said: dict[tuple[str, str], NDArray[np.float32]] = {}
    for seed, (codec, name) in enumerate(CODECS.items()):
        with db.run(model) as run:
            held = run.add_checkpoint(module(seed), best=True)
        assert held.experiment == name
        wants = [Want(layer, "units", codec) for layer in LAYERS]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotFiniteWarning)
            materialize(db._stores, held.id, wants, db.images("small").keys(), positions=_POSITIONS)
        said |= {(name, layer): values for layer, values in capture(module(seed), pixels).items()}
    return Captured(db.images().keys(), said, age, site)
