"""A stand-in for a user's script: run as ``__main__`` by the tests, it defines models that nobody can import."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, relu
from torch.nn import Conv2d as Convolution

WIDTHS = (4, 6)
SCALE = math.pi
Norm = partial(nn.BatchNorm2d, eps=1e-4)
UNUSED = open


def unused() -> None:
    raise AssertionError(UNUSED)


@dataclass(frozen=True)
class Options:
    """What a block takes."""

    scale: float = SCALE


class Block(nn.Module):
    def __init__(self, inside: int, outside: int, options: Options = Options()) -> None:
        super().__init__()
        self.conv = Convolution(inside, outside, 3)
        self.norm = Norm(outside)
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        return scaled(relu(self.norm(self.conv(x))), self.options.scale)


def scaled(x: Tensor, by: float) -> Tensor:
    return x * by if by != 1 else same(x)


def same(x: Tensor) -> Tensor:
    return scaled(x, 2) if np.isnan(0.0) else x


class NotebookNet(nn.Module):
    """Uses a class, two functions that use each other, values, aliases and imports."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(1, WIDTHS[0]), Block(*WIDTHS))
        self.head = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.blocks(x), 1).flatten(1))


def make_net(classes: int = 10):
    return NotebookNet(classes)


if __name__ == "__main__":
    from odin_graph.runtime.models.definition import define

    definition, factory = define(make_net if "function" in sys.argv else NotebookNet, kwargs={"classes": 3})
    module = factory(classes=3).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.01)
        said = module(torch.ones(1, 1, 12, 12))
    print(json.dumps({"definition": definition.to_json(), "digest": definition.digest, "said": said.tolist()}))
