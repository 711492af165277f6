"""Measures an experiment over a data set version: stored predictions against frozen labels."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from math import isnan
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.analysis.judged import Judged, judged, keys_of
from odin_graph.analysis.results import Results
from odin_graph.errors import QueryError
from odin_graph.registry import PluginError
from odin_graph.schema.tasks import Pairs, Scores, Task, parse_task, task_like
from odin_graph.served import served
from odin_graph.stores import Stores

_SET: Final = """
MATCH (s:PredictionSet {id: $set})-[:GENERATED_BY]->(e:Experiment)
OPTIONAL MATCH (e)-[:USED]->(m:Model)
RETURN s.task AS task, s.classes AS classes, m.task AS model_task, m.classes AS model_classes
"""
_KEPT: Final = 64
"""Measures of prediction sets that are kept by workspace."""


@served
def results(
    stores: Stores,
    experiment: str,
    dataset: str,
    *,
    group_by: str | None = None,
    warns: bool = False,
    stale: bool = True,
) -> Results:
    """Measure the predictions of an experiment over a data set version.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version's id.
        group_by: An image field whose values are measured each on their own, such as the patient.
        warns: Whether to warn where a part is predicted.
        stale: Whether to count the labels that differ from today's.

    Raises:
        QueryError: There are no predictions over it, or no labels to hold them against.
        UnknownNameError: There is no such field.
    """
    if group_by is not None and not isinstance(group_by, str):
        raise QueryError(f"group_by= takes the name of one image field, such as 'patient', not {group_by!r:.80}.")
    found = judged(stores, experiment, dataset, stale=stale)
    if not found.coverage.measured:
        raise QueryError(
            f"{dataset} has no image with a label, and a prediction of {experiment}, that is not deleted, so there is "
            "nothing to measure: create a data set with label= from images that were not deleted."
        )
    if warns:
        found.coverage.warn(f"{experiment} has predictions")
    measured = _Measured(stores, found)
    groups = None if group_by is None else _grouped(stores, measured, group_by)
    every = replace(_kept(stores, dataset, measured), missing=found.coverage.missing)
    return Results(experiment, dataset, measured.task, every, found.coverage, group_by, groups)


class _Measured:
    """The labels and predictions that are measured: all of them, or some rows."""

    def __init__(self, stores: Stores, found: Judged) -> None:
        (row,) = stores.graph.read(_SET, {"set": found.set_id})
        self.found = found
        known = tuple(row["classes"] or row["model_classes"] or ())
        labels = found.table.column("label")
        self.task: Task = parse_task(row["task"] or row["model_task"] or task_like(labels.type, known))
        columns = (labels, found.table.column("predicted"), found.table.column("wrong"))
        self._pairs = Pairs(*columns, known, partial(_probabilities, stores, found.set_id, keys_of(found.table)))

    def __call__(self, rows: NDArray[np.int64] | None = None) -> Scores:
        """The measures of these rows, by default of all."""
        scores = self.task.score(self._pairs if rows is None else self._pairs.take(rows))
        if set(scores.overall) != set(self.task.metrics):
            raise PluginError(
                f"The task {self.task.name!r} names the measures {list(self.task.metrics)}, and its score() gives "
                f"{list(scores.overall)}: make both the same."
            )
        return scores


_CACHE: Final[WeakKeyDictionary[Stores, OrderedDict[tuple[Any, ...], Scores]]] = WeakKeyDictionary()
_LOCK: Final = threading.Lock()


def _kept(stores: Stores, dataset: str, measured: _Measured) -> Scores:
    """The measures of all images, cached: predictions and labels are frozen, so they change only with deletions."""
    segments = stores.columns.segments(f"PredictionSet/{measured.found.set_id}/columns")
    members = stores.columns.segments(f"Dataset/{dataset}/members")
    key = (*(info.id for info in (*segments, *members)), keys_of(measured.found.table).tobytes())
    with _LOCK:
        cache = _CACHE.setdefault(stores, OrderedDict())
        if key in cache:
            cache.move_to_end(key)
            return cache[key]
    scores = measured()
    with _LOCK:
        cache[key] = scores
        while len(cache) > _KEPT:
            cache.popitem(last=False)
    return scores


def _probabilities(stores: Stores, set_id: str, keys: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """The probabilities in the order of the keys; None if some have none, since they may be logged without."""
    if not stores.columns.segments(f"PredictionSet/{set_id}/probabilities"):
        return None
    stored_keys, rows = stores.columns.probabilities(set_id)
    if np.array_equal(stored_keys, keys):
        return rows
    if not np.isin(keys, stored_keys).all():
        return None
    ordered: NDArray[np.float32] = rows[np.searchsorted(stored_keys, keys)]
    return ordered


def _grouped(stores: Stores, measured: _Measured, group_by: str) -> dict[Hashable, Scores]:
    """The measures of each value, sorted by it; images without one come last."""
    parts = []
    for table in (measured.found.table, measured.found.unpredicted):
        values = table.column("label").to_pylist() if group_by == "label" else _field(stores, group_by, keys_of(table))
        parts.append(_places(group_by, values))
    present, missing = parts
    values = sorted({*present, *missing}, key=lambda value: (value is None, 0 if value is None else value))
    nothing = np.empty(0, np.int64)
    groups = {}
    for value in values:
        groups[value] = replace(measured(present.get(value, nothing)), missing=len(missing.get(value, ())))
    return groups


def _field(stores: Stores, name: str, keys: NDArray[np.int64]) -> list[Any]:
    table = stores.columns.images([name], keys)
    places = pc.index_in(pa.array(keys), table.column("key").combine_chunks())
    values: list[Any] = table.column(name).take(places).to_pylist()
    return values


def _places(group_by: str, values: Sequence[Any]) -> dict[Hashable, NDArray[np.int64]]:
    """The positions of each value; NaN is a missing one, as everywhere."""
    places: dict[Hashable, list[int]] = {}
    for place, value in enumerate(values):
        if isinstance(value, list):
            raise QueryError(f"group_by={group_by!r} has several values for each image: group by a field with one.")
        places.setdefault(None if isinstance(value, float) and isnan(value) else value, []).append(place)
    return {value: np.array(positions, np.int64) for value, positions in places.items()}
