"""Score predictions as right or wrong, by the labels that a data set version froze and by the task."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import Inputs
from odin_graph.catalog.inputs.labels import labels_of_inputs
from odin_graph.columns.fields import arrow_type
from odin_graph.errors import DataError, ShapeError
from odin_graph.schema.tasks import Task, parse_task, reading, spell_task, task_like
from odin_graph.schema.tasks.reading import of_one_type
from odin_graph.stores import Stores

_CHECKED: Final = 4 << 20
"""How many probabilities are checked at once."""
_MODEL = "MATCH (:Experiment {id: $id})-[:USED]->(m:Model) RETURN m.task AS task, m.classes AS classes"


@dataclass(frozen=True, eq=False)
class Scoring:
    """Turns predictions over one data set version into the columns of a set."""

    stores: Stores
    task: Task
    classes: tuple[Any, ...] | None
    """In the order of the probabilities; None if unknown."""
    dataset: str
    keys: NDArray[np.int64]
    """The members, in the order of the set."""
    labels: NDArray[Any]
    """The label of each member, as the task reads it; None if there is none."""
    inputs: Inputs | None = None
    """Where a prediction is of several images: then ``keys`` are the first of each, and ``labels`` those of inputs."""

    @property
    def task_name(self) -> str:
        """The task, as it is stored."""
        return spell_task(self.task)

    @classmethod
    def of(
        cls,
        stores: Stores,
        experiment: str,
        dataset: str,
        task: str | None = None,
        classes: Sequence[Any] | None = None,
        inputs: tuple[Input, Inputs] | None = None,
    ) -> Self:
        """The scoring of an experiment over a data set version.

        Args:
            stores: The open workspace.
            experiment: The experiment's id.
            dataset: The data set version's id.
            task: A registered task; None takes the task of the model, or else the one that fits the labels.
            classes: In the order of the probabilities; None takes the model's.
            inputs: What a prediction is of, where it is of several members.

        Raises:
            DataError: The images of an input have several labels.
        """
        members = stores.columns.members(dataset)
        model = next(iter(stores.graph.read(_MODEL, {"id": experiment})), {"task": None, "classes": None})
        given = reading.classes_in_order(classes) if classes is not None else model["classes"]
        known = tuple(reading.as_list(given)) if given is not None and len(given) else None
        parsed = parse_task(task or model["task"] or task_like(members.column("label").type))
        if known is not None or parsed.needs_classes:
            parsed.columns(known or ())  # raises if they are invalid
        keys = members.column("key").to_numpy()
        if inputs is None:
            return cls(stores, parsed, known, dataset, keys, _read(parsed, _labels(members.column("label")), known))
        what, planned = inputs
        own = labels_of_inputs(what, planned, keys, members.column("label").to_pylist(), known)
        return cls(stores, parsed, known, dataset, planned.first, _read(parsed, own, known), planned)

    def table(self, keys: NDArray[np.int64], predicted: Any, confidence: Any | None) -> pa.Table:
        """The columns key, predicted, confidence, wrong.

        Raises:
            DataError: A key that is not a member, a prediction that is missing, infinite, not a class, or of another
                type than the labels, or a confidence that is not between 0 and 1.
            ShapeError: Columns of other lengths.
        """
        for name, column in (("predictions", predicted), ("confidences", confidence)):
            if column is not None and len(column) != len(keys):
                raise ShapeError(f"{len(keys)} images, but {len(column)} {name}: give one for each image.")
        positions = self._positions(keys)
        values = _read(self.task, predicted, self.classes)
        if any(value is None for value in values):
            raise DataError("A prediction is missing (None or NaN): leave its image out.")
        if self.task.exclusive:
            of_one_type(values, self.labels[positions])
        if (refused := self.task.refused(values, self.classes or ())) is not None:
            position, reason = refused
            raise DataError(f"The prediction of {self.name_of(keys, position)} is {reason}")
        wrong = self.task.wrong(values, self.labels[positions])
        return pa.table(
            {
                "key": pa.array(keys, pa.int64()),
                "predicted": self._as_declared(pa.array(values.tolist())),
                "confidence": self._confidence(confidence, keys),
                "wrong": pa.array(wrong.data, mask=np.ma.getmaskarray(wrong)),
            }
        )

    def probabilities(self, keys: NDArray[np.int64], given: NDArray[Any]) -> NDArray[np.float32]:
        """Check probabilities, and return them as they are stored.

        Raises:
            ShapeError: Not one row an image and one column a class.
            DataError: The classes are unknown, some are not between 0 and 1, or those of one class an image do not
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
        checked = np.empty(rows.shape, np.float32)
        step = max(1, _CHECKED // len(self.classes))
        for first in range(0, len(keys), step):
            part = slice(first, first + step)
            checked[part] = reading.checked_probabilities(
                rows[part].astype(np.float64),
                exclusive=self.task.exclusive,
                name=partial(self.name_of, keys[part]),
            )
        return checked

    def _as_declared(self, predicted: pa.Array) -> pa.Array:
        """Predictions in the type that the task declares: one that reads them as floats may say that they are whole."""
        try:
            declared = self.task.columns(self.classes or ()).get("predicted")
        except DataError:  # it needs the classes, and nobody gave them: their type is that of the predictions
            return predicted
        if declared is None:
            return predicted
        try:
            return predicted.cast(arrow_type(declared))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"A prediction of the task {self.task.name!r} is of the type {declared}, and these are not: {error}. "
                "Give such values, or declare another type in its columns()."
            ) from error

    def _confidence(self, given: Any | None, keys: NDArray[np.int64]) -> pa.Array:
        if given is None:
            return pa.nulls(len(keys), pa.float64())
        values = _numbers(given, "confidences").astype(np.float64)
        if values.shape != (len(keys),):
            raise ShapeError(f"The confidences have shape {values.shape}: give one number an image.")
        if (bad := ~reading.unit_interval(values)).any():
            index = int(bad.argmax())
            raise DataError(
                f"The confidence of {self.name_of(keys, index)} is {values[index]:g}, which is not between 0 and 1: "
                "give the probability of what was predicted, or leave confidence= out."
            )
        return pa.array(np.clip(values, 0.0, 1.0) + 0.0)

    def name_of(self, keys: NDArray[np.int64], index: int) -> str:
        """The name of an image for a message."""
        key = keys[index : index + 1]
        ids = self.stores.columns.images(["id"], key).column("id").to_pylist()
        return f"image {ids[0]!r}" if ids else f"the image of key {key[0]}"

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.keys, kind="stable")

    def _positions(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        sorted_keys = self.keys[self._order]
        position = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
        if (unknown := sorted_keys[position] != keys).any():
            raise DataError(
                f"{int(unknown.sum())} of the images are not in {self.dataset!r}, "
                f"first keys {keys[unknown][:5].tolist()}: predict a data set that contains them."
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
    """Values as the task reads them, (n,) of object.

    Values of the type of the classes are taken as they are: a data set may have classes that a model does not know, and
    predicts wrongly. Only other values (indexes, one-hot rows) need the classes.
    """
    column = _as_column(values)
    if column is None:  # rows, lists, or what only the task understands
        return reading.labels_by(task, values, None if _same_type(values, classes) else classes)
    distinct = column.dictionary.to_pylist()
    known = None if _same_type(distinct, classes) else classes
    try:
        distinct_read = reading.labels_by(task, distinct, known)
    except DataError:
        return reading.labels_by(task, values, known)  # again with all values, for the position in the message
    # A few classes, many images: each class is read once.
    positions = column.indices.fill_null(len(distinct)).to_numpy()
    values_read: NDArray[Any] = np.append(distinct_read, [None])[positions]
    return values_read


def _as_column(values: Any) -> pa.DictionaryArray | None:
    """Dictionary-encode plain values; None if they are no column of plain values."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype == object):
        return None
    if isinstance(values, list | tuple) and len({type(value) for value in values} - {type(None)}) > 1:
        return None  # Arrow would convert True beside a float to 1.0
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
