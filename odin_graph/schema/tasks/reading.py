"""What the readers of labels share: missing values, and rows of zeros and ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError, ModelError, ShapeError
from odin_graph.registry import PluginError
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.several import in_order
from odin_graph.schema.tasks.task import Labels, Mask, Task


def as_labels(values: Sequence[Any]) -> Labels:
    """Values as an array of objects, lists among them left whole."""
    labels = np.empty(len(values), dtype=object)
    labels[:] = values
    return labels


def labels_by(task: Task, values: Any, classes: Sequence[Any] | None) -> Labels:
    """Labels as a task reads them, which may give a list of them or an array of numbers, too.

    Raises:
        PluginError: It gives something else, or not one a value.
    """
    read = task.read_labels(values, classes)
    if not isinstance(read, np.ndarray | list | tuple) or len(read) != len(values):
        raise PluginError(
            f"read_labels() of the task {task.name!r} gives {read!r:.80} for {len(values):,} values: return one label "
            "a value, None where there is none, as reading.as_labels([...]) has them."
        )
    if isinstance(read, np.ndarray) and read.dtype == object and read.ndim == 1:
        return read
    return as_labels(as_list(read))


def as_list(values: Any) -> list[Any]:
    """Whatever users hold labels in, as a list of plain Python values; missing ones are None."""
    listed = plain(values.tolist() if hasattr(values, "tolist") else list(values))
    return listed if isinstance(listed, list) else [listed]


def as_numbers(values: Any, reason: str) -> Labels:
    """Labels that are numbers, as floats; NaN is a missing one, as everywhere.

    Args:
        values: Whatever users hold them in.
        reason: Why another value is refused.
    """
    listed = as_list(values)
    for place, value in enumerate(listed):
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise refuse(value, place, reason)
    return as_labels([None if value is None else float(value) for value in listed])


def classes_in_order(given: Any) -> Any:
    """Classes as they were given, which must have an order: that of outputs and probabilities.

    Raises:
        DataError: They have none, as in a set, or another one, as a dict from classes to indexes, or are one text.
    """
    ask = "give the classes in the order of their indexes"
    if getattr(given, "ndim", 1) != 1:
        raise DataError(f"'classes' is an array of shape {tuple(given.shape)}: {ask}.")
    return None if given is None else in_order("classes", given, ask)


def as_rows(values: Any, classes: Sequence[Any] | None) -> NDArray[np.bool_] | None:
    """Rows of zeros and ones (n, classes), one column a class; None if the values are not that.

    Raises:
        ShapeError: They are, but with another number of columns than there are classes.
    """
    rows = np.asarray(values) if hasattr(values, "ndim") else None
    if rows is None or rows.ndim != 2 or rows.dtype.kind not in "biuf":
        return None
    if not np.isin(rows, (0, 1)).all():
        return None
    if classes is not None and rows.shape[1] != len(classes):
        raise ShapeError(
            f"The labels have {rows.shape[1]} columns, and there are {len(classes)} classes: give one a class."
        )
    return rows.astype(bool)


def refuse(value: Any, position: int, reason: str) -> DataError:
    """The error for one label that cannot be read."""
    return DataError(f"Label {value!r} at position {position}: {reason}")


def index_of(classes: Sequence[Any]) -> dict[Any, int]:
    """The position of each class.

    Raises:
        DataError: They are not all strings, all whole numbers or all truth values, or one comes twice.
    """
    kinds = {type(name) for name in classes}
    if kinds not in ({str}, {int}, {bool}):
        raise DataError(
            f"Classes are names, whole numbers or truth values, all of one kind, and not {list(classes)!r}."
        )
    found = {name: place for place, name in enumerate(classes)}
    if len(found) != len(classes):
        twice = next(name for place, name in enumerate(classes) if found[name] != place)
        raise DataError(f"The class {twice!r} comes twice: give each once.")
    return found


def class_type(classes: Sequence[Any]) -> FieldType:
    """The type of a class: a class is the label itself, and True, 1 and "1" are three."""
    index_of(classes)
    return {str: FieldType.STRING, int: FieldType.INT, bool: FieldType.BOOL}[type(classes[0])]


def of_one_type(*columns: Iterable[Any]) -> None:
    """Refuse classes of several types: Python says that 1 is True, and a reader of text that both are "1".

    Args:
        columns: Labels, or predictions and labels; None is missing.

    Raises:
        DataError: They are of several.
    """
    first: dict[type, Any] = {}
    for value in (value for column in columns for value in column if value is not None):
        first.setdefault(type(value), value)
    if len(first) > 1:
        one, other = list(first.values())[:2]
        raise DataError(
            f"Classes are of one type, and {one!r} ({type(one).__name__}) and {other!r} ({type(other).__name__}) are "
            "of two: convert the one, or the labels with db.fields.retype('label', ...)."
        )


def finite(outputs: NDArray[Any], what: str = "The model's outputs") -> NDArray[np.float64]:
    """The outputs in float64.

    Raises:
        ModelError: Some are NaN or infinite.
    """
    values = np.asarray(outputs, dtype=np.float64)
    bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if bad.any():
        raise ModelError(
            f"{what} are not finite for {int(bad.sum())} of {len(values)} images, the first at position "
            f"{int(bad.argmax())}: look at the weights (did the training diverge?) and at the preprocessing."
        )
    return values


SLACK: Final = 1e-6
"""By so much a probability may lie outside of 0 to 1, as sums of float32 do: it is taken for 0 or 1."""
SUM_SLACK: Final = 0.01
"""By so much probabilities of which one is true may miss a sum of 1, as half precision and rounding do."""


def probabilities_of(values: NDArray[Any], classes: Sequence[Any], *, exclusive: bool) -> NDArray[np.float64]:
    """Probabilities (n, classes) that somebody else calculated, checked.

    Args:
        values: What was given.
        classes: The task's.
        exclusive: Whether those of an image sum to one.

    Raises:
        ShapeError: They do not fit the classes.
        DataError: Some are not between 0 and 1, or do not sum to one.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != len(classes):
        raise ShapeError(
            f"The probabilities have shape {given.shape}, and {len(classes)} classes need (n, {len(classes)})."
        )
    return checked_probabilities(given, exclusive=exclusive, name=lambda place: f"the image at position {place}")


def checked_probabilities(
    given: NDArray[np.float64], *, exclusive: bool, name: Callable[[int], str]
) -> NDArray[np.float64]:
    """Probabilities (n, classes) as they are kept, within 0 and 1.

    Args:
        given: What was given.
        exclusive: Whether those of an image sum to one.
        name: Of the image of a row, for the message.

    Raises:
        DataError: Some are not between 0 and 1, or do not sum to one.
    """
    fit = unit_interval(given)
    if (bad := ~fit.all(axis=1)).any():
        where = int(bad.argmax())
        value = given[where][~fit[where]][0]
        raise DataError(
            f"The probabilities of {name(where)} hold {value:g}, which is not between 0 and 1: "
            "if they are logits, apply softmax or sigmoid."
        )
    clipped: NDArray[np.float64] = np.clip(given, 0.0, 1.0)
    if exclusive and clipped.shape[1]:
        sums = clipped.sum(axis=1)
        if (bad := np.abs(sums - 1) > SUM_SLACK + SLACK).any():
            where = int(bad.argmax())
            raise DataError(
                f"The probabilities of {name(where)} sum to {sums[where]:.4g}, and one class an image needs 1 "
                f"(give or take {SUM_SLACK:g}): divide each row by its sum, or say task='multi-label' if several "
                "classes can be true of an image."
            )
    return clipped


def unit_interval(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values are between 0 and 1; NaN is not."""
    return (values >= -SLACK) & (values <= 1 + SLACK)


def same_length(predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> None:
    """Refuse predictions and labels that are not one to one."""
    if len(predicted) != len(labels):
        raise ShapeError(
            f"There are {len(predicted)} predictions and {len(labels)} labels: give one label a prediction."
        )


def masked(wrong: NDArray[np.bool_], known: NDArray[np.bool_]) -> Mask:
    """Right or wrong where it is known."""
    return np.ma.MaskedArray(wrong & known, mask=~known)
