"""Predictions that were made elsewhere, handed in at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.experiments.judge import Judge
from odin_graph.catalog.experiments.predictions import PredictionBuild, has_twice, latest_ready, probabilities_array
from odin_graph.catalog.experiments.projection import columns_of, to_graph
from odin_graph.catalog.records.segments import segments_of
from odin_graph.catalog.records.unfinished import remove_unfinished
from odin_graph.errors import DataError, DataWarning
from odin_graph.schema.several import in_order
from odin_graph.stores import Stores
from odin_graph.warned import warn

Rows = NDArray[np.float32]
_ROUNDED: Final = 0.01
"""A confidence may be so far from the probability that it is."""


def import_predictions(
    stores: Stores,
    experiment: str,
    dataset: str,
    keys: NDArray[np.int64] | None,
    predicted: Any | None,
    *,
    confidence: Any | None = None,
    probabilities: Any | None = None,
    classes: Sequence[Any] | None = None,
    task: str | None = None,
    nodes: bool = True,
) -> str:
    """Store predictions of one experiment over a data set version; the id of the set.

    The same predictions again give the set that is there, or complete the one that a crash left. Where they contradict
    their probabilities, a `DataWarning` says so, and the set keeps it.

    Args:
        stores: The open workspace.
        experiment: The experiment's id.
        dataset: The data set version's id.
        keys: The images; None is the whole data set in its order.
        predicted: Of each image; None takes the most probable class.
        confidence: Of each image; None takes the probability of the most probable class, if that is what was taken.
        probabilities: (images, classes).
        classes: In the order of the probabilities; None takes the model's.
        task: A registered task; None takes the model's, else the one that the labels look like.
        nodes: Also write a (:Prediction) node an image.

    Raises:
        DataError: What was given does not say what was predicted, or of which images.
        ShapeError: Columns that do not fit each other.
    """
    predicted = None if predicted is None else in_order("predicted", predicted)
    confidence = None if confidence is None else in_order("confidence", confidence)
    judge = Judge.of(stores, experiment, dataset, task, classes)
    if keys is None:
        keys, (predicted, confidence, probabilities) = _there(stores, judge, predicted, confidence, probabilities)
    keys = np.asarray(keys, np.int64)
    if has_twice(keys):
        raise DataError("An image is given twice: give one prediction an image.")
    rows = None if probabilities is None else judge.probabilities(keys, probabilities)
    if predicted is None:
        predicted, confidence = _most_probable(judge, rows, confidence)
    table = judge.table(keys, predicted, confidence)
    contradictions = [] if rows is None else list(_contradictions(judge, table, rows))
    if contradictions:
        warn(
            f"The predictions of {experiment!r} over {dataset!r} contradict their probabilities: "
            f"{'; '.join(contradictions)}. They are stored as they are, since a threshold of your own may be meant, "
            "and the set keeps this: db.predictions[id].warnings. Else look at the order of classes=.",
            DataWarning,
        )
    held = latest_ready(stores, experiment, dataset, None)
    if held is not None and _same(stores, held, table, rows):
        if nodes:
            to_graph(stores, held)
        return held
    build = PredictionBuild.begin(stores, experiment, dataset, judge=judge)
    if build.resumed and not _same(stores, build.id, table, rows):
        # What an earlier process left is of other predictions: it never became visible, and never will.
        build.release()
        remove_unfinished(stores, "PredictionSet", build.id)
        build = PredictionBuild.begin(stores, experiment, dataset, judge=judge)
    with build:
        if len(build.missing()):
            left = np.isin(keys, build.missing())
            build.append_columns(table.filter(pa.array(left)), None if rows is None else rows[left])
        return build.finish(nodes=nodes, remarks=contradictions)


def _there(stores: Stores, judge: Judge, *columns: Any | None) -> tuple[NDArray[np.int64], list[Any]]:
    """The members that were not deleted since, in the order of the set, and their part of each column.

    A column may be of these, as who reads the images of the set has it, or of all that were frozen.
    """
    there = ~np.isin(judge.keys, stores.columns.deleted())
    if there.all():
        return judge.keys, list(columns)
    places = np.flatnonzero(there)
    return judge.keys[places], [
        column if column is None or len(column) != len(judge.keys) else _take(column, places) for column in columns
    ]


def _take(column: Any, places: NDArray[np.int64]) -> Any:
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column.take(pa.array(places))
    if hasattr(column, "iloc"):  # pandas, whose [] is by index
        return column.iloc[places]
    if isinstance(column, np.ndarray):
        return column[places]
    listed = list(column)
    return [listed[place] for place in places.tolist()]


def _most_probable(judge: Judge, rows: Rows | None, confidence: Any | None) -> tuple[Any, Any]:
    if rows is None or judge.classes is None:
        raise DataError("There are no predictions: give predicted=, or probabilities= with classes=.")
    said = judge.task.from_probabilities(rows, judge.classes)
    return said.predicted, said.confidence if confidence is None else confidence


def _contradictions(judge: Judge, table: pa.Table, rows: Rows) -> Iterator[str]:
    """What predictions say otherwise than their probabilities."""
    keys = table.column("key").to_numpy()
    if not judge.task.exclusive:
        yield from _of_no_threshold(judge, keys, table.column("predicted").to_pylist(), rows)
        return
    place = pa.compute.index_in(table.column("predicted"), pa.array(judge.classes)).to_numpy()
    said = np.take_along_axis(rows, place[:, None], axis=1)[:, 0]
    confidence = table.column("confidence").to_numpy()
    for found, what in (
        (said < rows.max(axis=1), "another class than the predicted one is more probable"),
        (np.abs(confidence - said) > _ROUNDED, "the confidence is not the probability of the predicted class"),
    ):
        if number := int(found.sum()):
            yield f"{what} for {number:,} of {len(rows):,}, first {judge.name_of(keys, int(found.argmax()))}"


def _of_no_threshold(judge: Judge, keys: NDArray[np.int64], predicted: Sequence[Any], rows: Rows) -> Iterator[str]:
    """Where several classes are true, each may have a threshold of its own; it is the same for all images."""
    for place, name in enumerate(judge.classes or ()):
        said = np.array([name in of for of in predicted])
        if not said.any() or said.all():
            continue
        least, most = rows[said, place].min(), rows[~said, place].max()
        if least < most:
            low, high = (
                judge.name_of(keys, int(np.flatnonzero(held & (rows[:, place] == value))[0]))
                for held, value in ((said, least), (~said, most))
            )
            yield f"{name!r} is predicted for {low} at {least:.3g}, and not for {high} at {most:.3g}"


def _same(stores: Stores, set_id: str, table: pa.Table, rows: Rows | None) -> bool:
    """Whether a set holds these predictions; one that a crash left empty does not contradict them."""
    held = columns_of(stores, set_id)
    if held is None:
        return True
    order = np.argsort(table.column("key").to_numpy(), kind="stable")
    if not held.equals(table.take(pa.array(order))):
        return False
    segments = segments_of(stores, probabilities_array(set_id))
    if rows is None or not segments:
        return rows is None and not segments
    stored = SegmentedArray(stores.arrays, segments).read(table.column("key").to_numpy())
    return bool(np.array_equal(stored, rows))
