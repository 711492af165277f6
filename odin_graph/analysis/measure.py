"""Measures an experiment over a data set version: stored predictions against frozen labels."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.analysis import scores
from odin_graph.analysis.results import Results
from odin_graph.analysis.scores import Scores
from odin_graph.errors import QueryError
from odin_graph.query.prediction_sets import choose
from odin_graph.schema.tasks import parse_task
from odin_graph.stores import Stores

_SET = """
MATCH (s:PredictionSet {id: $set})-[:GENERATED_BY]->(e:Experiment)
OPTIONAL MATCH (e)-[:USED]->(m:Model)
RETURN s.task AS task, s.classes AS classes, m.task AS model_task, m.classes AS model_classes
"""


def results(stores: Stores, experiment: str, dataset: str, *, by: str | None = None) -> Results:
    """Measure the predictions of an experiment over a data set version.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version's id.
        by: An image field whose values are measured each on their own, such as the patient.

    Raises:
        QueryError: There are no predictions over it, or no labels to hold them against.
        UnknownNameError: There is no such field.
    """
    chosen = choose(stores.graph, experiment, dataset)
    joined = _joined(stores.columns.members(dataset), stores.columns.predictions(chosen.id))
    labelled = joined.filter(pc.is_valid(joined.column("label")))
    if not labelled.num_rows:
        raise QueryError(
            f"No image of {dataset} that {experiment} has predicted has a label, so there is nothing to measure it "
            "against: create a data set with label=."
        )
    (said,) = stores.graph.read(_SET, {"set": chosen.id})
    task = parse_task(said["task"] or said["model_task"] or "multi-class").name
    keys = labelled.column("key").to_numpy()
    truth, predicted, wrong = (labelled.column(name).to_pylist() for name in ("label", "predicted", "wrong"))
    known = list(said["classes"] or said["model_classes"] or [])
    classes = known if task == "regression" else _with_strangers(known, truth, predicted)
    probabilities = _probabilities(stores, chosen.id, keys)

    def measured(positions: NDArray[np.int64]) -> Scores:
        true, predictions = ([values[place] for place in positions] for values in (truth, predicted))
        if task == "regression":
            return scores.regression(true, predictions, [wrong[place] for place in positions])
        measure = scores.multi_label if task == "multi-label" else scores.multi_class
        return measure(true, predictions, classes, None if probabilities is None else probabilities[positions])

    groups = None
    if by is not None:
        values = truth if by == "label" else _field(stores, by, keys)
        groups = {value: measured(positions) for value, positions in _groups(by, values)}
    unlabelled = joined.num_rows - labelled.num_rows
    everything = measured(np.arange(len(keys)))
    return Results(experiment, dataset, task, tuple(classes), everything, unlabelled, by, groups)


def _joined(members: pa.Table, predictions: pa.Table) -> pa.Table:
    """The members that are predicted. By hand, since Arrow's join takes no columns of lists, as several labels are."""
    places = pc.index_in(members.column("key"), predictions.column("key").combine_chunks())
    found = pc.is_valid(places)
    said = predictions.take(places.filter(found))
    labels = members.column("label").filter(found)
    return said.select(["key", "predicted", "wrong"]).append_column("label", labels)


def _with_strangers(known: Sequence[Any], *columns: Sequence[Any]) -> list[Any]:
    """The model's classes, then those that a data set holds and the model does not know, sorted."""
    seen = {item for column in columns for value in column for item in (value if isinstance(value, list) else [value])}
    return [*known, *sorted(seen.difference(known))]


def _probabilities(stores: Stores, set_id: str, keys: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """In the order of the keys; None where some are missing, since they may be logged without."""
    if not stores.columns.segments(f"PredictionSet/{set_id}/probabilities"):
        return None
    held, rows = stores.columns.probabilities(set_id)
    if not np.isin(keys, held).all():
        return None
    found: NDArray[np.float32] = rows[np.searchsorted(held, keys)]
    return found


def _field(stores: Stores, name: str, keys: NDArray[np.int64]) -> list[Any]:
    table = stores.columns.images([name])
    places = pc.index_in(pa.array(keys), table.column("key").combine_chunks())  # null for what was deleted since
    values: list[Any] = table.column(name).take(places).to_pylist()
    return values


def _groups(by: str, values: Sequence[Any]) -> list[tuple[Hashable, NDArray[np.int64]]]:
    """The positions of each value, sorted by it; images without one come last."""
    places: dict[Hashable, list[int]] = {}
    for place, value in enumerate(values):
        if isinstance(value, list):
            raise QueryError(f"by={by!r} holds several values an image: group by a field with one.")
        places.setdefault(value, []).append(place)
    ordered = sorted(places.items(), key=lambda item: (item[0] is None, 0 if item[0] is None else item[0]))
    return [(value, np.array(held, np.int64)) for value, held in ordered]
