"""Images to inputs of several images: preprocessed one by one, and stacked as the model takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import PADDING, Inputs
from odin_graph.errors import ShapeError
from odin_graph.ops import Pipeline
from odin_graph.runtime.pixels.ahead import read_ahead
from odin_graph.runtime.pixels.inputs import preprocessed

Keys = NDArray[np.int64]
Positions = NDArray[np.int64]
Read = Callable[[Keys], NDArray[Any] | list[NDArray[Any]]]

_BLOCK_BYTES: Final = 256 * 2**20
"""Pixels of inputs that are read at once, unless one input has more."""


def stacked(what: Input, inputs: Inputs, positions: Positions, pixels: NDArray[Any]) -> Tensor:
    """Inputs of one number of images as one tensor (n, ...) of float32, in the layout that the model takes.

    Args:
        what: What an input is.
        inputs: All inputs.
        positions: Which of them.
        pixels: Their images (m, h, w, bands) after preprocessing, one input after the other, without missing ones.

    Raises:
        ShapeError: The inputs have different numbers of images, or several bands where the images are the bands.
    """
    places, owner = inputs.rows(positions)
    sizes = np.bincount(owner, minlength=len(positions))
    if (sizes != sizes[0]).any():
        few, many = int(sizes.argmin()), int(sizes.argmax())
        raise ShapeError(
            f"{inputs.names[positions[few]]} has {sizes[few]} images and {inputs.names[positions[many]]} has "
            f"{sizes[many]}, and a batch has one shape: load one at a time, batch_size=1, or add the model with an "
            "input of a fixed size=."
        )
    # Of NumPy's allocator, as in `as_tensor`; missing images are zeros.
    filled = np.zeros((len(places), *pixels.shape[1:]), np.float32)
    filled[inputs.keys[places] != PADDING] = pixels
    each = filled.reshape(len(positions), -1, *pixels.shape[1:])  # (n, images, h, w, bands)
    match what.layout:
        case "dhw":
            if each.shape[-1] != 1:
                raise ShapeError(
                    f"The images have {each.shape[-1]} bands after preprocessing, and an input of the layout 'dhw' is "
                    "(depth, height, width): put a grayscale into the model's preprocess=, or take 'cdhw'."
                )
            made = each[..., 0]
        case "cdhw":
            made = np.moveaxis(each, -1, 1)
        case _:
            made = np.moveaxis(each, -1, 2)
    return torch.from_numpy(np.ascontiguousarray(made))


def input_batches(
    what: Input, inputs: Inputs, pipeline: Pipeline, read: Read, batch: int, image_bytes: int
) -> Iterator[tuple[Positions, Tensor]]:
    """All inputs in batches, in the order in which their images are stored; the next is read while one is used.

    Args:
        what: What an input is.
        inputs: The inputs.
        pipeline: The preprocessing of each image.
        read: Gives the pixels of images.
        batch: Inputs at once, at most.
        image_bytes: Of an image, about.
    """
    order = np.argsort(inputs.first, kind="stable")
    parts: list[Positions] = []
    for size, alike in groupby(order.tolist(), lambda at: int(inputs.sizes[at])):
        run = np.array(list(alike), np.int64)
        step = max(1, min(batch, _BLOCK_BYTES // (size * image_bytes)))
        parts += [run[start : start + step] for start in range(0, len(run), step)]

    def load(part: Positions) -> Tensor:
        keys = inputs.keys[inputs.rows(part)[0]]
        return stacked(what, inputs, part, preprocessed(pipeline, read(keys[keys != PADDING])))

    yield from read_ahead(load, parts)
