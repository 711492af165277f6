"""From images to the inputs of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from odin_graph.errors import ShapeError
from odin_graph.ops import Pipeline


def to_input(pipeline: Pipeline, pixels: NDArray[Any]) -> Tensor:
    """One image (h, w, bands) through a pipeline, as (bands, h, w) of float32; unscaled if the pipeline is empty."""
    return as_tensor(pipeline(pixels))


def to_inputs(pipeline: Pipeline, pixels: Sequence[NDArray[Any]] | NDArray[Any]) -> Tensor:
    """Images through a pipeline, as (n, bands, h, w) of float32. Those of one shape go through it together.

    Raises:
        ShapeError: They have different shapes afterwards.
    """
    return as_tensor(preprocessed(pipeline, pixels))


def input_runs(pipeline: Pipeline, pixels: Sequence[NDArray[Any]]) -> Iterator[Tensor]:
    """As `to_inputs`, in as many parts as it takes: neighbors of one shape after preprocessing go together."""
    if len({(image.shape, image.dtype) for image in pixels}) == 1:
        yield to_inputs(pipeline, pixels)
        return
    for _, alike in groupby(map(pipeline, pixels), lambda image: image.shape):
        yield as_tensor(np.stack(list(alike)))


def preprocessed(pipeline: Pipeline, pixels: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[Any]:
    """Images, or an array (n, h, w, bands) of them, through a pipeline, (n, h, w, bands) of the dtype that it gives.

    Raises:
        ShapeError: They have different shapes afterwards.
    """
    if isinstance(pixels, np.ndarray):
        return pipeline.batch(pixels)
    if len({(image.shape, image.dtype) for image in pixels}) == 1:
        return pipeline.batch(np.stack(pixels))
    made = [pipeline(image) for image in pixels]
    if len(shapes := {(image.shape[-1], *image.shape[:-1]) for image in made}) > 1:  # in the order of models
        listed = ", ".join(map(str, sorted(shapes)[:4]))
        raise ShapeError(
            f"The images have {len(shapes)} different shapes after preprocessing ({listed} ...), and a batch has one: "
            "put a resize or a center-crop into the model's preprocess=."
        )
    return np.stack(made)


def as_tensor(pixels: NDArray[Any]) -> Tensor:
    """Pixels (..., h, w, bands) as (..., bands, h, w) of float32."""
    moved = np.moveaxis(pixels, -1, -3)
    # A copy always: what was read may be shared, mapped from a file, or read-only.
    if get_worker_info() is None:
        # NumPy's allocator asks for large pages: three times faster than into memory of torch's own.
        return torch.from_numpy(np.array(moved, np.float32, order="C"))
    made = _shared(moved.shape)
    np.copyto(made.numpy(), moved, casting="unsafe")
    return made


def _shared(shape: tuple[int, ...]) -> Tensor:
    """An empty tensor in memory that the main process shares with its workers, as torch's own collate makes it."""
    made = torch.empty(0)
    # Of the two ways of torch this one does not copy.
    storage = made._typed_storage()._new_shared(prod(shape), device="cpu")  # type: ignore[no-untyped-call]  # noqa: SLF001
    return made.new(storage).resize_(shape)
