"""The predictions of a checkpoint for images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.inputs.inputs import Inputs
from odin_graph.errors import ModelError
from odin_graph.progress import progress_bar
from odin_graph.runtime.layers.outputs import logits_of
from odin_graph.runtime.models.model import Runnable
from odin_graph.runtime.pixels.inputs import to_inputs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.runtime.pixels.runs import image_bytes_of
from odin_graph.runtime.pixels.several import input_batches
from odin_graph.schema.tasks import parse_task
from odin_graph.schema.tasks.task import Predictions
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


def predict_batches(
    stores: Stores,
    checkpoint: str,
    keys: Keys,
    *,
    inputs: Inputs | None = None,
    device: str | torch.device | None = None,
    batch: int | None = None,
    progress: bool = True,
) -> Iterator[tuple[Keys, Predictions]]:
    """Predictions of images, or of inputs of several images, as the model's task decides them.

    Args:
        stores: The open workspace.
        checkpoint: The checkpoint's id.
        keys: The images, or the first image of each input; they come back sorted, each once.
        inputs: The inputs, where the model takes several images as one.
        device: Where to run; by default an accelerator, else the CPU.
        batch: Images at once; by default as many as fit.
        progress: Show a progress bar.

    Raises:
        ModelError: It cannot be run, or does not say its classes.
        ShapeError: The model refuses the images, or its outputs do not fit its classes.
    """
    runnable = Runnable.load(stores, checkpoint, device=device, batch=batch)
    if runnable.input.several and inputs is None:
        raise ModelError(f"The model {runnable.model.id!r} takes {runnable.input}: its inputs must be planned.")
    task, classes = _task_of(runnable)
    with progress_bar(f"predict with {checkpoint}", len(keys), show=progress) as done:
        ran = forward(stores, runnable, keys) if inputs is None else _forward_inputs(stores, runnable, keys, inputs)
        for batch_keys, logits in ran:
            yield batch_keys, parse_task(task).decide(logits, classes)
            done(len(batch_keys))


def forward(stores: Stores, runnable: Runnable, keys: Keys) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
    """The outputs (n, ...) of a model for images, in batches, sorted by key."""
    for block, images in pixel_blocks(stores, np.unique(keys), least=runnable.batch):
        for start in range(0, len(block), runnable.batch):
            part = slice(start, start + runnable.batch)
            inputs = to_inputs(runnable.pipeline, images[part])
            yield block[part], runnable.run(inputs, logits_of).float().numpy()


def _forward_inputs(
    stores: Stores, runnable: Runnable, keys: Keys, inputs: Inputs
) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
    """The outputs (n, ...) for the inputs that are known by these images."""
    wanted = inputs.take(np.flatnonzero(np.isin(inputs.first, keys)))
    if not len(wanted):
        return
    read = stores.columns.array(ARRAY).read_together
    size = image_bytes_of(stores)
    for part, tensor in input_batches(runnable.input, wanted, runnable.pipeline, read, runnable.batch, size):
        yield wanted.first[part], runnable.run(tensor, logits_of).float().numpy()


def _task_of(runnable: Runnable) -> tuple[str, tuple[str | int | bool, ...]]:
    model = runnable.model
    if model.task is None:
        raise ModelError(
            f"The model {model.id!r} does not say what its outputs mean: add it with classes=, or with "
            "task='regression'."
        )
    return model.task, model.classes or ()
