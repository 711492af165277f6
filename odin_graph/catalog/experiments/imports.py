"""Import predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.experiments.predictions import (
    PredictionBuild,
    has_duplicates,
    inputs_of_members,
    latest_ready,
    probabilities_array,
    spread_over_images,
)
from odin_graph.catalog.experiments.projection import columns_of, to_graph
from odin_graph.catalog.experiments.scoring import Scoring
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import Inputs
from odin_graph.catalog.records.segments import segments_of
from odin_graph.catalog.records.unfinished import remove_unfinished
from odin_graph.errors import DataError, DataWarning
from odin_graph.schema.several import in_order
from odin_graph.stores import Stores
from odin_graph.warned import warn

Rows = NDArray[np.float32]
_ROUNDED: Final = 0.01
"""How far a confidence may differ from the probability of its class."""


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
    input: Input | None = None,  # noqa: A002 - the users' word for it
    nodes: bool = True,
) -> str:
    """Store predictions of one experiment over a data set version; return the id of the set.

    The same predictions again give the existing set, or complete one that a crash left. If they contradict their
    probabilities, there is a `DataWarning`, which the set keeps.

    Args:
        stores: The open workspace.
        experiment: The experiment's id.
        dataset: The data set version's id.
        keys: The images, or one image of each input; None is the whole data set in its order, or all inputs in the
            order in which the first image of each comes.
        predicted: One an image; None takes the most probable class.
        confidence: One an image; with ``predicted=None``, None takes the probability of the most probable class.
        probabilities: (images, classes).
        classes: In the order of the probabilities; None takes the model's.
        task: A registered task; None takes the model's, else the one that the labels look like.
        input: What a prediction is of; None takes the model's, else one image.
        nodes: Also write a (:Prediction) node an image.

    Raises:
        DataError: It is not clear what was predicted, or for which images.
        ShapeError: Columns of different lengths or shapes.
    """
    predicted = None if predicted is None else in_order("predicted", predicted)
    confidence = None if confidence is None else in_order("confidence", confidence)
    what = _input_of(stores, experiment) if input is None else input
    several = (what, inputs_of_members(stores, what, dataset, experiment)) if what.several else None
    scoring = Scoring.of(stores, experiment, dataset, task, classes, several)
    if keys is not None and scoring.inputs is not None:
        keys = _inputs_with(scoring.inputs, np.asarray(keys, np.int64), dataset)
    if keys is None:
        keys, (predicted, confidence, probabilities) = _present(stores, scoring, predicted, confidence, probabilities)
    keys = np.asarray(keys, np.int64)
    if has_duplicates(keys):
        thing = "image" if scoring.inputs is None else "input"
        raise DataError(f"An {thing} is given twice: give one prediction for each {thing}.")
    rows = None if probabilities is None else scoring.probabilities(keys, probabilities)
    if predicted is None:
        predicted, confidence = _most_probable(scoring, rows, confidence)
    table = scoring.table(keys, predicted, confidence)
    remarks = [] if rows is None else _contradicting(scoring, table, rows, f"{experiment!r} over {dataset!r}")
    if scoring.inputs is not None:
        scoring.inputs.warn(f"{experiment} over {dataset}")
        remarks += scoring.inputs.notes
        table, owner = spread_over_images(scoring.inputs, table)
        keys, rows = table.column("input").to_numpy(), None if rows is None else rows[owner]
    existing = latest_ready(stores, experiment, dataset, None)
    if existing is not None and _same(stores, existing, table, rows):
        if nodes:
            to_graph(stores, existing)
        return existing
    given = what if what.several else None
    build = PredictionBuild.begin(stores, experiment, dataset, scoring=scoring, input=given)
    if build.resumed and not _same(stores, build.id, table, rows):
        # An earlier process left a set of other predictions, which was never visible: remove it.
        build.release()
        remove_unfinished(stores, "PredictionSet", build.id)
        build = PredictionBuild.begin(stores, experiment, dataset, scoring=scoring, input=given)
    with build:
        if len(build.missing()):
            remaining = np.isin(keys, build.missing())
            build.append_columns(table.filter(pa.array(remaining)), None if rows is None else rows[remaining])
        return build.finish(nodes=nodes, remarks=remarks)


def _input_of(stores: Stores, experiment: str) -> Input:
    """What the model of an experiment takes as one input; one image if it has none."""
    rows = stores.graph.read(
        "MATCH (:Experiment {id: $id})-[:USED]->(m:Model) RETURN m.input AS input", {"id": experiment}
    )
    return Input.from_text(rows[0]["input"] if rows else None)


def _inputs_with(inputs: Inputs, keys: NDArray[np.int64], dataset: str) -> NDArray[np.int64]:
    """The first images of the inputs that hold these images, in their order."""
    first = dict(zip(inputs.keys.tolist(), np.repeat(inputs.first, inputs.sizes).tolist(), strict=True))
    if outside := [key for key in keys.tolist() if key not in first]:
        raise DataError(
            f"{len(outside):,} of the images are in no input of {dataset!r}, first keys {outside[:5]}: give one image "
            "of each input."
        )
    return np.array([first[key] for key in keys.tolist()], np.int64)


def _present(stores: Stores, scoring: Scoring, *columns: Any | None) -> tuple[NDArray[np.int64], list[Any]]:
    """The members that were not deleted since, in the order of the set, and their values of each column.

    A column may have a value for each of these members, or for each frozen one.
    """
    present = ~np.isin(scoring.keys, stores.columns.deleted())
    if present.all():
        return scoring.keys, list(columns)
    positions = np.flatnonzero(present)
    return scoring.keys[positions], [
        column if column is None or len(column) != len(scoring.keys) else _take(column, positions) for column in columns
    ]


def _take(column: Any, positions: NDArray[np.int64]) -> Any:
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return column.take(pa.array(positions))
    if hasattr(column, "iloc"):  # pandas, whose [] is by index
        return column.iloc[positions]
    if isinstance(column, np.ndarray):
        return column[positions]
    values = list(column)
    return [values[position] for position in positions.tolist()]


def _most_probable(scoring: Scoring, rows: Rows | None, confidence: Any | None) -> tuple[Any, Any]:
    if rows is None or scoring.classes is None:
        raise DataError("There are no predictions: give predicted=, or probabilities= with classes=.")
    prediction = scoring.task.from_probabilities(rows, scoring.classes)
    return prediction.predicted, prediction.confidence if confidence is None else confidence


def _contradicting(scoring: Scoring, table: pa.Table, rows: Rows, whose: str) -> list[str]:
    """Warn where predictions contradict their probabilities; the sentences."""
    contradictions = list(_contradictions(scoring, table, rows))
    if contradictions:
        warn(
            f"The predictions of {whose} contradict their probabilities: {'; '.join(contradictions)}. They are stored "
            "as they are, since a threshold of your own may be meant, and the set keeps this: "
            "db.predictions[id].warnings. Else look at the order of classes=.",
            DataWarning,
        )
    return contradictions


def _contradictions(scoring: Scoring, table: pa.Table, rows: Rows) -> Iterator[str]:
    """Sentences on where predictions contradict their probabilities."""
    keys = table.column("key").to_numpy()
    if not scoring.task.exclusive:
        yield from _threshold_contradictions(scoring, keys, table.column("predicted").to_pylist(), rows)
        return
    columns = pa.compute.index_in(table.column("predicted"), pa.array(scoring.classes)).to_numpy()
    probability = np.take_along_axis(rows, columns[:, None], axis=1)[:, 0]
    confidence = table.column("confidence").to_numpy()
    for contradicts, sentence in (
        (probability < rows.max(axis=1), "another class than the predicted one is more probable"),
        (np.abs(confidence - probability) > _ROUNDED, "the confidence is not the probability of the predicted class"),
    ):
        if number := int(contradicts.sum()):
            first = scoring.name_of(keys, int(contradicts.argmax()))
            yield f"{sentence} for {number:,} of {len(rows):,}, first {first}"


def _threshold_contradictions(
    scoring: Scoring, keys: NDArray[np.int64], predicted: Sequence[Any], rows: Rows
) -> Iterator[str]:
    """If several classes may be true: each class may have its own threshold, but the same one for all images."""
    for column, name in enumerate(scoring.classes or ()):
        positive = np.array([name in classes for classes in predicted])
        if not positive.any() or positive.all():
            continue
        lowest, highest = rows[positive, column].min(), rows[~positive, column].max()
        if lowest < highest:
            low, high = (
                scoring.name_of(keys, int(np.flatnonzero(mask & (rows[:, column] == value))[0]))
                for mask, value in ((positive, lowest), (~positive, highest))
            )
            yield f"{name!r} is predicted for {low} at {lowest:.3g}, and not for {high} at {highest:.3g}"


def _same(stores: Stores, set_id: str, table: pa.Table, rows: Rows | None) -> bool:
    """Whether a set contains these predictions, or is empty because of a crash."""
    columns = columns_of(stores, set_id)
    if columns is None:
        return True
    order = np.argsort(table.column("key").to_numpy(), kind="stable")
    if not columns.equals(table.take(pa.array(order))):
        return False
    segments = segments_of(stores, probabilities_array(set_id))
    if rows is None or not segments:
        return rows is None and not segments
    stored = SegmentedArray(stores.arrays, segments).read(table.column("key").to_numpy())
    return bool(np.array_equal(stored, rows))
