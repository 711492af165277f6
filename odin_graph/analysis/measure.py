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

from odin_graph.analysis import scores
from odin_graph.analysis.judged import Judged, judged, keys_of
from odin_graph.analysis.results import Results
from odin_graph.analysis.scores import Scores
from odin_graph.errors import QueryError
from odin_graph.schema.tasks import Task, parse_task
from odin_graph.stores import Stores

_SET: Final = """
MATCH (s:PredictionSet {id: $set})-[:GENERATED_BY]->(e:Experiment)
OPTIONAL MATCH (e)-[:USED]->(m:Model)
RETURN s.task AS task, s.classes AS classes, m.task AS model_task, m.classes AS model_classes
"""
_KEPT: Final = 64
"""Measures of prediction sets that are kept by workspace."""


def results(
    stores: Stores,
    experiment: str,
    dataset: str,
    *,
    by: str | None = None,
    stacklevel: int | None = None,
    stale: bool = True,
) -> Results:
    """Measure the predictions of an experiment over a data set version.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version's id.
        by: An image field whose values are measured each on their own, such as the patient.
        stacklevel: Of the warning where a part is predicted, as in `warnings.warn`; None warns of nothing.
        stale: Whether to count the labels that differ from today's.

    Raises:
        QueryError: There are no predictions over it, or no labels to hold them against.
        UnknownNameError: There is no such field.
    """
    if by is not None and not isinstance(by, str):
        raise QueryError(f"by= takes the name of one image field, such as 'patient', not {by!r:.80}.")
    found = judged(stores, experiment, dataset, stale=stale)
    if not found.coverage.measured:
        raise QueryError(
            f"{dataset} has no image with a label, and a prediction of {experiment}, that is not deleted, so there is "
            "nothing to measure: create a data set with label= from images that were not deleted."
        )
    if stacklevel is not None:
        found.coverage.warn(f"{experiment} has predictions", stacklevel + 1)
    measured = _Measured(stores, found)
    groups = None if by is None else _by(stores, measured, by)
    every = replace(_kept(stores, dataset, measured), missing=found.coverage.missing)
    tolerance = getattr(measured.task, "tolerance", None)
    return Results(
        experiment, dataset, measured.task.name, measured.classes, every, found.coverage, by, groups, tolerance
    )


class _Measured:
    """The columns that are measured, of which any rows can be."""

    def __init__(self, stores: Stores, found: Judged) -> None:
        (said,) = stores.graph.read(_SET, {"set": found.set_id})
        self.found = found
        self.task: Task = parse_task(said["task"] or said["model_task"] or "multi-class")
        known = list(said["classes"] or said["model_classes"] or [])
        self.grades = len(known)
        self._truth, self._said = found.table.column("label"), found.table.column("predicted")
        self._numbers = self.task.name == "regression"
        self.classes = tuple(known if self._numbers else _with_strangers(known, self._truth, self._said))
        self._stores = stores
        self._codes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._probabilities: tuple[NDArray[np.float32] | None] | None = None

    def __call__(self, rows: NDArray[np.int64] | None = None) -> Scores:
        """The measures of these rows, by default of all."""
        every = rows is None
        if self._numbers:
            table = self.found.table if every else self.found.table.take(rows)
            truth, said = (table.column(name).to_numpy().astype(np.float64) for name in ("label", "predicted"))
            return scores.regression(truth, said, table.column("wrong").to_pylist())
        held = self._rows()
        probabilities = held if held is None or every else held[rows]
        if _is_nested(self._truth) or _is_nested(self._said):
            truth, said = (column if every else column.take(rows) for column in (self._truth, self._said))
            return scores.multi_label(truth, said, self.classes, probabilities)
        if self._codes is None:
            truth, said = (scores.positions_of(column, self.classes) for column in (self._truth, self._said))
            self._codes = truth, said
        truth, said = self._codes if every else (codes[rows] for codes in self._codes)
        measure = scores.multi_class
        if self.task.name == "ordinal":
            measure = partial(scores.ordinal, grades=self.grades or None)
        return measure(truth, said, self.classes, probabilities, every=every)

    def _rows(self) -> NDArray[np.float32] | None:
        if self._probabilities is None:
            self._probabilities = (_probabilities(self._stores, self.found.set_id, keys_of(self.found.table)),)
        return self._probabilities[0]


_CACHE: Final[WeakKeyDictionary[Stores, OrderedDict[tuple[Any, ...], Scores]]] = WeakKeyDictionary()
_LOCK: Final = threading.Lock()


def _kept(stores: Stores, dataset: str, measured: _Measured) -> Scores:
    """The measures of all images. Predictions and labels are frozen: they change only with what was deleted."""
    segments = stores.columns.segments(f"PredictionSet/{measured.found.set_id}/columns")
    members = stores.columns.segments(f"Dataset/{dataset}/members")
    of = (*(info.id for info in (*segments, *members)), keys_of(measured.found.table).tobytes())
    with _LOCK:
        held = _CACHE.setdefault(stores, OrderedDict())
        if of in held:
            held.move_to_end(of)
            return held[of]
    made = measured()
    with _LOCK:
        held[of] = made
        while len(held) > _KEPT:
            held.popitem(last=False)
    return made


def _with_strangers(known: Sequence[Any], *columns: pa.ChunkedArray) -> list[Any]:
    """The model's classes, then those that a data set holds and the model does not know, sorted."""
    flat = (pc.list_flatten(column) if _is_nested(column) else column for column in columns)
    seen = {item for column in flat for item in column.unique().to_pylist() if item is not None}
    return [*known, *sorted(seen.difference(known))]


def _is_nested(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_nested(column.type))


def _probabilities(stores: Stores, set_id: str, keys: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """In the order of the keys; None where some are missing, since they may be logged without."""
    if not stores.columns.segments(f"PredictionSet/{set_id}/probabilities"):
        return None
    held, rows = stores.columns.probabilities(set_id)
    if np.array_equal(held, keys):
        return rows
    if not np.isin(keys, held).all():
        return None
    found: NDArray[np.float32] = rows[np.searchsorted(held, keys)]
    return found


def _by(stores: Stores, measured: _Measured, by: str) -> dict[Hashable, Scores]:
    """The measures of each value, sorted by it; images without one come last."""
    parts = []
    for table in (measured.found.table, measured.found.unpredicted):
        values = table.column("label").to_pylist() if by == "label" else _field(stores, by, keys_of(table))
        parts.append(_places(by, values))
    there, missing = parts
    values = sorted({*there, *missing}, key=lambda value: (value is None, 0 if value is None else value))
    nothing = np.empty(0, np.int64)
    made = {}
    for value in values:
        made[value] = replace(measured(there.get(value, nothing)), missing=len(missing.get(value, ())))
    return made


def _field(stores: Stores, name: str, keys: NDArray[np.int64]) -> list[Any]:
    table = stores.columns.images([name], keys)
    places = pc.index_in(pa.array(keys), table.column("key").combine_chunks())
    values: list[Any] = table.column(name).take(places).to_pylist()
    return values


def _places(by: str, values: Sequence[Any]) -> dict[Hashable, NDArray[np.int64]]:
    """The positions of each value; NaN is a missing one, as everywhere."""
    places: dict[Hashable, list[int]] = {}
    for place, value in enumerate(values):
        if isinstance(value, list):
            raise QueryError(f"by={by!r} has several values for each image: group by a field with one.")
        places.setdefault(None if isinstance(value, float) and isnan(value) else value, []).append(place)
    return {value: np.array(held, np.int64) for value, held in places.items()}
