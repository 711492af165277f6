"""Labels as the numbers that a loss takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from odin_graph.errors import DataError
from odin_graph.schema.tasks import parse_task, reading


def targets_of(labels: Sequence[Any], task: str, classes: Sequence[str | int | bool] | None) -> NDArray[Any]:
    """One target an image, in the order of the classes.

    Args:
        labels: One an image.
        task: A registered task, which says what its loss takes.
        classes: The classes; None takes those of the labels, sorted.

    Raises:
        DataError: A label is missing, or is none of the classes.
    """
    known = list(classes) if classes else None
    kind = parse_task(task)
    read = reading.labels_by(kind, list(labels), known)
    missing = sum(label is None for label in read)
    if missing:
        raise DataError(
            f"{missing} of {len(labels)} images have no label, so there is nothing to train them on: "
            'leave them out, query.where(F("label").is_not_null()).'
        )
    return kind.targets(read, known)
