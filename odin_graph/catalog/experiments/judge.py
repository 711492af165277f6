"""Who is right: predictions against the labels that a data set version froze, as the task has it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import DataError, ShapeError
from odin_graph.schema.tasks import Task, parse_task, reading, spell_task, task_like
from odin_graph.schema.tasks.reading import of_one_type
from odin_graph.stores import Stores

_CHECKED: Final = 4 << 20
"""Probabilities that are checked together."""
_MODEL = "MATCH (:Experiment {id: $id})-[:USED]->(m:Model) RETURN m.task AS task, m.classes AS classes"


@dataclass(frozen=True, eq=False)
class Judge:
    """Turns predictions over one data set version into the columns of a set."""

    stores: Stores
    task: Task
    classes: tuple[Any, ...] | None
    """In the order of the probabilities; None where nobody has said them."""
    dataset: str
    keys: NDArray[np.int64]
    """The members, in the order of the set."""
    labels: NDArray[Any]
    """Of each member, as the task has them; None where it has none."""

    @property
    def task_name(self) -> str:
        """The task, as it is recorded."""
        return spell_task(self.task)

    @classmethod
    def of(
        cls,
        stores: Stores,
        experiment: str,
        dataset: str,
        task: str | None = None,
        classes: Sequence[Any] | None = None,
    ) -> Self:
        """The judge of an experiment over a data set version.

        Args:
            stores: The open workspace.
            experiment: The experiment's id.
            dataset: The data set version's id.
            task: A registered task; None takes the model's, else the one that the labels look like.
            classes: In the order of the probabilities; None takes the model's.
        """
        members = stores.columns.members(dataset)
        model = next(iter(stores.graph.read(_MODEL, {"id": experiment})), {"task": None, "classes": None})
        said = reading.classes_in_order(classes) if classes is not None else model["classes"]
        known = tuple(reading.as_list(said)) if said is not None and len(said) else None
        judge = parse_task(task or model["task"] or task_like(members.column("label").type))
        if known is not None or judge.needs_classes:
            judge.columns(known or ())  # says what is wrong with them
        labels = _read(judge, _labels(members.column("label")), known)
        return cls(stores, judge, known, dataset, members.column("key").to_numpy(), labels)

    def table(self, keys: NDArray[np.int64], predicted: Any, confidence: Any | None) -> pa.Table:
        """The columns key, predicted, confidence, wrong.

        Raises:
            DataError: A key that is no member, a prediction that is missing, infinite, no class, or of another type
                than the labels, or a confidence that is not between 0 and 1.
            ShapeError: Columns of other lengths.
        """
        for name, column in (("predictions", predicted), ("confidences", confidence)):
            if column is not None and len(column) != len(keys):
                raise ShapeError(f"{len(keys)} images, but {len(column)} {name}: give one for each image.")
        position = self._positions(keys)
        said = _read(self.task, predicted, self.classes)
        if any(value is None for value in said):
            raise DataError("A prediction is missing (None or NaN): leave its image out.")
        if self.task.exclusive:
            of_one_type(said, self.labels[position])
        if (refused := self.task.refused(said, self.classes or ())) is not None:
            place, reason = refused
            raise DataError(f"The prediction of {self.name_of(keys, place)} is {reason}")
        wrong = self.task.wrong(said, self.labels[position])
        return pa.table(
            {
                "key": pa.array(keys, pa.int64()),
                "predicted": pa.array(said.tolist()),
                "confidence": self._confidence(confidence, keys),
                "wrong": pa.array(wrong.data, mask=np.ma.getmaskarray(wrong)),
            }
        )

    def probabilities(self, keys: NDArray[np.int64], given: NDArray[Any]) -> NDArray[np.float32]:
        """The probabilities as they are stored.

        Raises:
            ShapeError: Not one row an image and one column a class.
            DataError: Nobody has said the classes, some are not between 0 and 1, or those of one class an image do not
                sum to one.
        """
        rows = _numbers(given, "probabilities")
        if self.classes is None:
            raise DataError("Probabilities mean nothing without the order of their classes: give classes=[...].")
        if rows.shape != (len(keys), len(self.classes)):
            raise ShapeError(
                f"The probabilities have shape {rows.shape}, "
                f"which is not ({len(keys)} images, {len(self.classes)} classes)."
            )
        held = np.empty(rows.shape, np.float32)
        step = max(1, _CHECKED // len(self.classes))
        for first in range(0, len(keys), step):
            part = slice(first, first + step)
            held[part] = reading.checked_probabilities(
                rows[part].astype(np.float64),
                exclusive=self.task.exclusive,
                name=partial(self.name_of, keys[part]),
            )
        return held

    def _confidence(self, given: Any | None, keys: NDArray[np.int64]) -> pa.Array:
        if given is None:
            return pa.nulls(len(keys), pa.float64())
        values = _numbers(given, "confidences").astype(np.float64)
        if values.shape != (len(keys),):
            raise ShapeError(f"The confidences have shape {values.shape}: give one number an image.")
        if (bad := ~reading.unit_interval(values)).any():
            place = int(bad.argmax())
            raise DataError(
                f"The confidence of {self.name_of(keys, place)} is {values[place]:g}, which is not between 0 and 1: "
                "give the probability of what was predicted, or leave confidence= out."
            )
        return pa.array(np.clip(values, 0.0, 1.0) + 0.0)

    def name_of(self, keys: NDArray[np.int64], place: int) -> str:
        """An image, for a message."""
        key = keys[place : place + 1]
        ids = self.stores.columns.images(["id"], key).column("id").to_pylist()
        return f"image {ids[0]!r}" if ids else f"the image of key {key[0]}"

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.keys, kind="stable")

    def _positions(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        held = self.keys[self._order]
        position = np.minimum(np.searchsorted(held, keys), len(held) - 1)
        if (strange := held[position] != keys).any():
            raise DataError(
                f"{int(strange.sum())} of the images are not in {self.dataset!r}, "
                f"first keys {keys[strange][:5].tolist()}: predict a data set that contains them."
            )
        return self._order[position]


def _numbers(given: Any, what: str) -> NDArray[Any]:
    values = np.asanyarray(given)
    if values.dtype == object:
        with contextlib.suppress(TypeError, ValueError):  # numbers among which some are None
            values = values.astype(np.float64)
    if np.ma.is_masked(values):
        raise DataError(f"Some {what} are masked: leave their images out (images=), or give numbers for them.")
    if values.dtype.kind not in "biuf":
        raise DataError(f"The {what} are {values.dtype}: give real numbers.")
    return np.asarray(values)


def _labels(column: pa.ChunkedArray) -> Any:
    return column.to_pylist() if pa.types.is_null(column.type) or pa.types.is_nested(column.type) else column


def _read(task: Task, values: Any, classes: tuple[Any, ...] | None) -> NDArray[Any]:
    """Values as the task has them, (n,) of object.

    Values of the classes' own type stand for themselves: a data set may hold classes that a model does not know, and
    is then wrong about. Only others (indexes, one-hot rows) need the classes.
    """
    held = _as_column(values)
    if held is None:  # rows, lists, or what only the task can say something about
        return task.read_labels(values, None if _same_type(values, classes) else classes)
    distinct = held.dictionary.to_pylist()
    known = None if _same_type(distinct, classes) else classes
    try:
        read = task.read_labels(distinct, known)
    except DataError:
        return task.read_labels(values, known)  # once more, for the message to say where
    # A few classes, many images: each class is read once.
    position = held.indices.fill_null(len(distinct)).to_numpy()
    values_read: NDArray[Any] = np.append(read, [None])[position]
    return values_read


def _as_column(values: Any) -> pa.DictionaryArray | None:
    """Plain values, each distinct one once; None where they are no such column."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype == object):
        return None
    if isinstance(values, list | tuple) and len({type(value) for value in values} - {type(None)}) > 1:
        return None  # Arrow makes 1.0 of True beside a float
    try:
        column = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    plain = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return column.dictionary_encode() if any(is_of(column.type) for is_of in plain) else None


def _same_type(values: Any, classes: tuple[Any, ...] | None) -> bool:
    if classes is None:
        return True
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            return False
        values = values.tolist()
    flat = (item for value in values for item in (value if isinstance(value, list | tuple) else (value,)))
    return all(item is None or type(item) is type(classes[0]) for item in flat)
