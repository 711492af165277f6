"""The workspace that the guides ask: 120 real images (scikit-learn's digits), a small network trained on them twice.

Made by ``odin example retina.odin``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import odin_graph as og

NAMES = ("DME", "drusen", "normal")
"""What the digits 0, 1 and 2 stand for, so that examples read as a user's."""
IMAGES = 120


class SmallCNN(nn.Module):
    """Eight channels, a mean over positions, a line."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8, len(NAMES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, 3) of images (n, 1, height, width)."""
        logits: torch.Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return logits


def build(db: og.Workspace, experiments: int = 2) -> None:
    """The data set ``retina-test``, and the experiments ``small-cnn/1``, ``small-cnn/2`` ... that predicted over it."""
    digits = load_digits(n_class=len(NAMES))
    pixels = (digits.images[:IMAGES] * 15).astype(np.uint8)
    labels = [NAMES[digit] for digit in digits.target[:IMAGES]]
    metadata: dict[str, list[Any]] = {
        "age": [None if n % 10 == 3 else 30 + n % 50 for n in range(IMAGES)],
        "iop": [10.0 + n % 13 for n in range(IMAGES)],
        "site": [("Pilot A", "Zürich", "Lima")[n % 3] for n in range(IMAGES)],
    }
    ids = [f"scan{n:03}.png" for n in range(IMAGES)]
    db.images.add(images=pixels, ids=ids, labels=labels, metadata=metadata, progress=False)
    test = db.datasets.add("retina-test", db.images())
    model = db.models.add("small-cnn", SmallCNN, classes=list(NAMES), task="multi-class", input_shape=(1, 8, 8))
    for seed in range(1, experiments + 1):
        torch.manual_seed(seed)
        with db.run(model, test=test, seed=seed) as run:
            run.add_checkpoint(_trained(test), best=True)
            run.predict(test)


def _trained(test: og.Dataset) -> nn.Module:
    """A few steps: better than chance, and often wrong."""
    module = SmallCNN()
    steps = torch.optim.Adam(module.parameters(), lr=1e-2)
    data = test.to_torch(model="small-cnn")
    items = [data[position] for position in range(len(data))]
    inputs = torch.stack([item[0] for item in items])
    targets = torch.tensor([item[1] for item in items])
    for _ in range(15):
        steps.zero_grad()
        nn.functional.cross_entropy(module(inputs), targets).backward()  # type: ignore[no-untyped-call]
        steps.step()
    return module
