"""Labels as the numbers that a loss takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError
from odin_graph.schema.tasks import parse_task


def targets_of(labels: Sequence[Any], task: str, classes: Sequence[str | int | bool] | None) -> NDArray[Any]:
    """One target an image, in the order of the classes.

    Args:
        labels: One an image.
        task: ``multi-class`` gives class indexes (n,) of int64, ``multi-label`` zeros and ones (n, classes) and
            ``regression`` numbers (n,), of float32.
        classes: The classes; None takes those of the labels, sorted.

    Raises:
        DataError: A label is missing, or is none of the classes.
    """
    known = list(classes) if classes else None
    kind = parse_task(task)
    read = kind.read_labels(list(labels), known)
    missing = sum(label is None for label in read)
    if missing:
        raise DataError(
            f"{missing} of {len(labels)} images have no label, so there is nothing to train them on: "
            'leave them out, query.where(F("label").is_not_null()).'
        )
    if kind.name == "regression":
        return np.array(list(read), np.float32)
    if kind.name == "multi-label":
        known = known or sorted({name for names in read for name in names})
        return np.array([[name in names for name in known] for names in read], np.float32).reshape(len(read), -1)
    known = known or sorted(set(read))
    place = {name: index for index, name in enumerate(known)}
    return np.array([place[label] for label in read], np.int64)
