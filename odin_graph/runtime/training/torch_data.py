"""The images of an answer as a torch data set, with targets as the loss takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.labels import labels_of_inputs
from odin_graph.errors import QueryError
from odin_graph.ops import Pipeline
from odin_graph.ops.augmentation import read_augmentations
from odin_graph.runtime.training.targets import targets_of
from odin_graph.schema.tasks import reading, task_like

if TYPE_CHECKING:
    from torch import Tensor

    from odin_graph.address import Address, Remote
    from odin_graph.catalog.inputs.inputs import Inputs
    from odin_graph.catalog.models.models import ModelRecord
    from odin_graph.ops.op import ImageOp
    from odin_graph.runtime.derive.patching import Cutting
    from odin_graph.runtime.training.torch_dataset import OpenPixels, PixelDataset


def torch_dataset(
    address: Address | Remote,
    keys: NDArray[np.int64],
    labels: pa.ChunkedArray,
    *,
    open_pixels: OpenPixels,
    model: ModelRecord | None,
    classes: Sequence[str | int | bool] | None,
    transform: Callable[[Tensor], Tensor] | None,
    operations: tuple[ImageOp, ...] = (),
    cutting: Cutting | None = None,
    augment: Iterable[Any] = (),
    seed: int = 0,
    inputs: Inputs | None = None,
) -> PixelDataset:
    """Pixels and targets of images, in their order.

    Args:
        address: The workspace.
        keys: The images.
        labels: The truth of each.
        open_pixels: Opens the pixels of the address, in each process.
        model: The model whose preprocessing, classes and task count.
        classes: The order of the class indexes, where there is no model; else the labels, sorted.
        transform: Applied to each tensor (bands, h, w).
        operations: Applied to the pixels before the augmentations and the model's preprocessing.
        cutting: Which patch of each image is meant; the operations are those on the patch.
        augment: Augmentations, or their JSON forms.
        seed: Of the augmentations.
        inputs: What the images make, where the model takes several as one input.

    Raises:
        QueryError: A model that says its classes, and other classes; or patches for inputs of several images.
        DataError: A label is missing, or is none of the classes.
    """
    from odin_graph.runtime.training.torch_dataset import PixelDataset

    classes = reading.classes_in_order(classes)
    pipeline, task = Pipeline(), None
    if model is not None:
        if classes is not None and model.classes is not None and tuple(classes) != model.classes:
            raise QueryError(
                f"The model {model.id!r} has the classes {list(model.classes)}, in this order: leave classes= out."
            )
        pipeline, task, classes = Pipeline.from_json(model.preprocess), model.task, model.classes or classes
    truth, what = labels.to_pylist(), None
    if model is not None and inputs is not None:
        what = Input.from_text(model.input)
        if cutting is not None:
            raise QueryError(
                f"The model {model.id!r} takes {what}, and patches are of one image each: store them first, or leave "
                "them out."
            )
        truth = labels_of_inputs(what, inputs, keys, truth, classes)
        keys = inputs.first
    targets = targets_of(truth, task or task_like(labels.type, classes), classes)
    return PixelDataset(
        address,
        keys,
        targets,
        before=Pipeline(operations),
        pipeline=pipeline,
        cutting=cutting,
        augment=read_augmentations(augment),
        transform=transform,
        seed=seed,
        open_pixels=open_pixels,
        several=None if what is None or inputs is None else (what, inputs),
    )
