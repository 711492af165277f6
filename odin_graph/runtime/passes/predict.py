"""The predictions of a checkpoint for images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from odin_graph.errors import ModelError
from odin_graph.progress import progress_bar
from odin_graph.runtime.layers.outputs import logits_of
from odin_graph.runtime.models.model import Runnable
from odin_graph.runtime.pixels.inputs import to_inputs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.schema.tasks import parse_task
from odin_graph.schema.tasks.task import Predictions
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


def predict_batches(
    stores: Stores,
    checkpoint: str,
    keys: Keys,
    *,
    device: str | torch.device | None = None,
    batch: int | None = None,
    progress: bool = True,
) -> Iterator[tuple[Keys, Predictions]]:
    """Predictions of images, as the model's task decides them.

    Args:
        stores: The open workspace.
        checkpoint: The checkpoint's id.
        keys: The images; they come back sorted, each once.
        device: Where to run; by default an accelerator, else the CPU.
        batch: Images at once; by default as many as fit.
        progress: Show a progress bar.

    Raises:
        ModelError: It cannot be run, or does not say its classes.
        ShapeError: The model refuses the images, or its outputs do not fit its classes.
    """
    runnable = Runnable.load(stores, checkpoint, device=device, batch=batch)
    task, classes = _task_of(runnable)
    with progress_bar(f"predict with {checkpoint}", len(keys), show=progress) as done:
        for batch_keys, logits in forward(stores, runnable, keys):
            yield batch_keys, parse_task(task).decide(logits, classes)
            done(len(batch_keys))


def forward(stores: Stores, runnable: Runnable, keys: Keys) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
    """The outputs (n, ...) of a model for images, in batches, sorted by key."""
    for block, images in pixel_blocks(stores, np.unique(keys), least=runnable.batch):
        for start in range(0, len(block), runnable.batch):
            part = slice(start, start + runnable.batch)
            inputs = to_inputs(runnable.pipeline, images[part])
            yield block[part], runnable.run(inputs, logits_of).float().numpy()


def _task_of(runnable: Runnable) -> tuple[str, tuple[str | int | bool, ...]]:
    model = runnable.model
    if model.task is None:
        raise ModelError(
            f"The model {model.id!r} does not say what its outputs mean: add it with classes=, or with "
            "task='regression'."
        )
    return model.task, model.classes or ()
