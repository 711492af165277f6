"""From images to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from odin_graph.errors import ShapeError
from odin_graph.ops import Pipeline


def to_input(pipeline: Pipeline, pixels: NDArray[Any]) -> Tensor:
    """One image (h, w, bands) through a pipeline, as (bands, h, w) of float32; unscaled if the pipeline is empty."""
    return _as_tensor(pipeline(pixels))


def to_inputs(pipeline: Pipeline, pixels: Sequence[NDArray[Any]]) -> Tensor:
    """Images through a pipeline, as (n, bands, h, w) of float32. Those of one shape go through it together.

    Raises:
        ShapeError: They have different shapes afterwards.
    """
    if len({(image.shape, image.dtype) for image in pixels}) == 1:
        return _as_tensor(pipeline.batch(np.stack(pixels)))
    tensors = [to_input(pipeline, image) for image in pixels]
    if len(shapes := {tuple(tensor.shape) for tensor in tensors}) > 1:
        listed = ", ".join(map(str, sorted(shapes)[:4]))
        raise ShapeError(
            f"The images have {len(shapes)} different shapes after preprocessing ({listed} ...), and a batch has one: "
            "put a resize or a center-crop into the model's preprocess=."
        )
    return torch.stack(tensors)


def _as_tensor(pixels: NDArray[Any]) -> Tensor:
    moved = np.moveaxis(pixels, -1, -3)
    # A copy always: what was read may be shared, mapped from a file, or read-only.
    return torch.from_numpy(np.array(moved, np.float32, order="C"))
