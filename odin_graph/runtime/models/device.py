"""Which device a model runs on, and how many images at once."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import torch

from odin_graph.errors import QueryError
from odin_graph.runtime.layers.layers import LayerRow

MOST = 256
"""Images at once: beyond that neither a CPU nor a GPU gains on images of the usual size."""
FALLBACK = 32
"""Where the shapes are not known."""


def choose_device(asked: str | torch.device | None = None) -> torch.device:
    """The device that was asked for; else an accelerator, else the CPU.

    Raises:
        QueryError: There is no such device here.
    """
    if asked is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except Exception as error:
        raise QueryError(
            f"There is no device {str(asked)!r} here: {error}. Leave device= out, or give 'cpu'."
        ) from error
    return device


def batch_size(table: Sequence[LayerRow], device: torch.device) -> int:
    """How many images fit: an eighth of the free memory, if every layer's output were held at once."""
    units = sum((row.units or 0) * row.calls for row in table)
    if not units:
        return FALLBACK
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    else:
        free = psutil.virtual_memory().available
    return max(1, min(MOST, free // 8 // (units * 4)))
