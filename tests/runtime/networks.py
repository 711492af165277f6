"""Small networks that the tests define, train and look into."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallNet(nn.Module):
    """Two convolutions and a classifier; ``relu`` runs twice."""

    def __init__(self, classes: int = 10, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.second = nn.Conv2d(width, width * 2, 3, stride=2)
        self.norm = nn.BatchNorm2d(width * 2)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width * 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        x = self.relu(self.norm(self.second(x)))
        return self.head(self.drop(x.mean((2, 3))))


class Fixed(nn.Module):
    """Takes 28 x 28 pixels and nothing else."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU())
        self.head = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(784, 784, bias=False)
        self.decode = nn.Linear(784, 784, bias=False)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(torch.relu(self.encode(x.flatten(1))))


def small_net(width: int = 8) -> SmallNet:
    """A factory."""
    return SmallNet(width=width)


class Net3d(nn.Module):
    """A small network of 3d convolutions: (n, 1, depth, h, w)."""

    def __init__(self, classes: int = 3, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, width, 3, stride=2)
        self.norm = nn.BatchNorm3d(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.first(x))).amax((2, 3, 4)))


class SlicesAsChannels(nn.Module):
    """A 2d network that takes the slices of a volume as its channels: (n, depth, h, w)."""

    def __init__(self, depth: int = 6, classes: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(depth, 4, 3, stride=2)
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x)).mean((2, 3)))


class Views(nn.Module):
    """One network for each view of a patient, whose features are concatenated: (n, views, 1, h, w)."""

    def __init__(self, views: int = 2, classes: int = 3) -> None:
        super().__init__()
        self.eyes = nn.ModuleList([nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU()) for _ in range(views)])
        self.head = nn.Linear(8 * views, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([eye(x[:, at]) for at, eye in enumerate(self.eyes)], 1))
