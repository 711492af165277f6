"""The images of an answer as a torch data set, with targets as the loss takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.ops import Pipeline
from odin_graph.ops.augmentation import read_augmentations
from odin_graph.runtime.training.targets import targets_of
from odin_graph.schema.tasks import reading, task_like

if TYPE_CHECKING:
    from torch import Tensor

    from odin_graph.ops.op import ImageOp
    from odin_graph.runtime.derive.patching import Cutting
    from odin_graph.runtime.training.torch_dataset import PixelDataset
    from odin_graph.stores import Stores


def torch_dataset(
    stores: Stores,
    keys: NDArray[np.int64],
    labels: pa.ChunkedArray,
    *,
    model: str | None,
    classes: Sequence[str | int | bool] | None,
    transform: Callable[[Tensor], Tensor] | None,
    operations: tuple[ImageOp, ...] = (),
    cutting: Cutting | None = None,
    augment: Iterable[Any] = (),
    seed: int = 0,
) -> PixelDataset:
    """Pixels and targets of images, in their order.

    Args:
        stores: The open workspace.
        keys: The images.
        labels: The truth of each.
        model: The model whose preprocessing, classes and task count.
        classes: The order of the class indexes, where there is no model; else the labels, sorted.
        transform: Applied to each tensor (bands, h, w).
        operations: Applied to the pixels before the augmentations and the model's preprocessing.
        cutting: Which patch of each image is meant; the operations are those on the patch.
        augment: Augmentations, or their JSON forms.
        seed: Of the augmentations.

    Raises:
        QueryError: A model that says its classes, and other classes.
        DataError: A label is missing, or is none of the classes.
    """
    from odin_graph.catalog.models.models import model_of
    from odin_graph.runtime.training.torch_dataset import PixelDataset

    classes = reading.classes_in_order(classes)
    pipeline, task = Pipeline(), None
    if model is not None:
        record = model_of(stores, model)
        if classes is not None and record.classes is not None and tuple(classes) != record.classes:
            raise QueryError(
                f"The model {model!r} has the classes {list(record.classes)}, in this order: leave classes= out."
            )
        pipeline, task, classes = Pipeline.from_json(record.preprocess), record.task, record.classes or classes
    targets = targets_of(labels.to_pylist(), task or task_like(labels.type, classes), classes)
    return PixelDataset(
        stores.address,
        keys,
        targets,
        before=Pipeline(operations),
        pipeline=pipeline,
        cutting=cutting,
        augment=read_augmentations(augment),
        transform=transform,
        seed=seed,
    )
