"""Inputs of several images: volumes and pairs of eyes made of real digits, and the same stacked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import odin_graph as og
from odin_graph.schema.tasks import parse_task
from tests.mnist import mnist
from tests.runtime.networks import Net3d

DEPTH, SCANS = 6, 9
PREPROCESS = [og.ops.ToFloat()]


def scan(number: int, depth: int = DEPTH) -> NDArray[np.uint8]:
    """A volume of real digits of one class, (depth, 28, 28); the class is ``number % 3``."""
    images, labels = mnist()
    found: NDArray[np.uint8] = images[labels == number % 3][number * 10 : number * 10 + depth]
    return found


def add_scans(db: og.Workspace, scans: int = SCANS, depth: int = DEPTH) -> None:
    # The middle ones first, so that neither keys nor ids are in the order of the query.
    for number in sorted(range(scans), key=lambda n: abs(n - scans // 2)):
        label = [number % 3] * depth
        db.volumes.add(f"scan-{number}", scan(number, depth), labels=label, site="north" if number % 2 else "south")


def trained(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    net.train()
    for _ in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net.eval()


def by_hand(scans: list[int], depth: int = DEPTH) -> torch.Tensor:
    """(n, 1, depth, 28, 28), stacked without odin_graph."""
    return torch.from_numpy(np.stack([scan(number, depth) for number in scans])[:, None]).float() / 255


def add_model(db: og.Workspace, id_: str, factory: Any, kind: og.Input, **how: Any) -> og.Model:
    return db.models.add(id_, factory, preprocess=PREPROCESS, classes=[0, 1, 2], input=kind, **how)


def volumes_model(db: og.Workspace, **how: Any) -> tuple[og.Model, nn.Module]:
    input_ = og.Input.stack(**{"size": DEPTH, **how})
    model = add_model(db, "net3d", Net3d, input_, input_shape=(1, DEPTH, 28, 28))
    torch.manual_seed(0)
    net = trained(model.build(), by_hand(list(range(SCANS))), torch.tensor([n % 3 for n in range(SCANS)]))
    return model, net


def predicted(db: og.Workspace, model: og.Model, net: nn.Module, test: Any, **how: Any) -> og.PredictionSet:
    with db.run(model, test=test) as run:
        run.add_checkpoint(net)
        return run.predict(test, **how)


def probabilities_of(held: og.PredictionSet, image: str) -> NDArray[np.float32]:
    (prediction,) = held.of_images([image])
    assert prediction.probabilities is not None
    return prediction.probabilities


def one_by_image(held: og.PredictionSet) -> dict[int, dict[str, Any]]:
    return {row["key"]: row for row in held.to_arrow().to_pylist()}


@torch.inference_mode()
def probabilities(net: nn.Module, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Of the model's own outputs for a batch; only the decision from these numbers is ours."""
    made = parse_task("multi-class").decide(net(inputs).numpy(), (0, 1, 2)).probabilities
    assert made is not None
    return made


def add_patients(db: og.Workspace, patients: int = 8) -> None:
    """Two eyes of each patient, the right one first; of every second a third image."""
    images, labels = mnist()
    for patient in range(patients):
        of_class = images[labels == patient % 3][patient * 3 : patient * 3 + 2]
        db.images.add(
            images=of_class[::-1], ids=[f"p{patient}-right", f"p{patient}-left"], labels=[patient % 3] * 2,
            metadata={"PatientID": [patient] * 2, "eye": ["right", "left"]},
        )  # fmt: skip


def eyes(patient: int) -> NDArray[np.uint8]:
    """(left, right), by hand."""
    images, labels = mnist()
    found: NDArray[np.uint8] = images[labels == patient % 3][patient * 3 : patient * 3 + 2]
    return found


EYES = og.Input.group("PatientID", order="eye", views=("left", "right"))
