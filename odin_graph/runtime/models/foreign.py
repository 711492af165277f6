"""A model that is no torch module, in the place of one: it predicts and embeds, and has no layers and no gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from odin_graph.errors import ModelError


class Foreign(nn.Module):
    """A function of arrays as a torch module with one layer, ``output``.

    Args:
        function: Takes (n, bands, height, width) of float32 and gives (n, ...) of numbers.
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
        given = self._function(inputs.detach().cpu().numpy())
        outputs = np.asarray(given)
        if outputs.dtype.kind not in "fiub":
            raise ModelError(f"{self._name} gives {type(given).__qualname__}, not numbers (n, ...).")
        made: Tensor = self.output(torch.from_numpy(np.array(outputs, np.float32)).to(inputs.device))
        return made

    def extra_repr(self) -> str:
        """What it is."""
        return self._name
