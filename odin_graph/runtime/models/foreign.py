"""A model that is no torch module, in the place of one: it predicts and embeds, and has no layers and no gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from odin_graph.errors import ModelError, OdinError


class Foreign(nn.Module):
    """A function of arrays as a torch module with one layer, ``output``.

    Args:
        function: Takes (n, bands, height, width) of float32 and gives (n, ...) of numbers; (n,) is (n, 1).
        name: What it is, for messages.
    """

    def __init__(self, function: Callable[[Any], Any], name: str) -> None:
        super().__init__()
        self._function = function
        self._name = name
        self.output = nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs of images.

        Raises:
            ModelError: Gradients are asked for, or the function gives no numbers.
        """
        if inputs.requires_grad and torch.is_grad_enabled():
            raise ModelError(
                f"{self._name} is no torch module, so there are no gradients of it: it predicts and embeds. What "
                "explains a model by gradients needs a torch module; what covers parts of an image needs none."
            )
        images = inputs.detach().cpu().numpy()
        try:
            given = self._function(images)
        except OdinError:
            raise
        except Exception as error:
            raise ModelError(
                f"{self._name} fails on {len(images)} images {images.shape[1:]} of float32: "
                f"{type(error).__name__}: {error}"
            ) from error
        outputs = np.asarray(given)
        if outputs.dtype.kind not in "fiub" or len(outputs.shape) == 0 or len(outputs) != len(images):
            what = f"an array {outputs.shape}" if outputs.dtype.kind in "fiub" else type(given).__qualname__
            raise ModelError(f"{self._name} gives {what} for {len(images)} images, not numbers (n, ...).")
        outputs = outputs if outputs.ndim > 1 else outputs[:, None]
        made: Tensor = self.output(torch.from_numpy(np.array(outputs, np.float32)).to(inputs.device))
        return made

    def extra_repr(self) -> str:
        """What it is."""
        return self._name
