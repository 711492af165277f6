"""``db.predictions``: prediction sets, each the predictions of one checkpoint for one data set version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.datasets.versions import ids_of
from odin_graph.catalog.experiments.predictions import probabilities_array, record_of
from odin_graph.catalog.inputs.input import Input
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.frames import frame_of
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.things import ThingQuery
from odin_graph.objects.things.experiment import Experiment, Experiments
from odin_graph.query.expressions.expressions import Expr
from odin_graph.served import served, travels
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.objects.things.dataset import Dataset


@travels
@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model predicted for one image."""

    predicted: Any
    """The class, the list of classes, or the number."""
    confidence: float | None
    """Between 0 and 1; None where it was not stored."""
    wrong: bool | None
    """None where the image has no label."""
    probabilities: NDArray[np.float32] | None
    """(classes,); None where they were not stored."""


@dataclass(frozen=True, repr=False)
class PredictionSet(Verbs):
    """The predictions of one checkpoint, or of another program, for one data set version.

    Its values never change. Predictions for images that were deleted since are not shown.
    """

    KIND = "PredictionSet"
    _session: Session
    id: str

    @property
    def experiment(self) -> str:
        """The id of the experiment that made it."""
        return str(self._record()["experiment"])

    @property
    def dataset(self) -> str:
        """The data set version that was predicted."""
        return str(self._record()["dataset"])

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint that predicted; None for imported predictions."""
        id_: str | None = self._record()["checkpoint"]
        return id_

    @property
    def input(self) -> Input:
        """What a prediction is of: one image, the images of a stack, or several images of a group."""
        return Input.from_text(self._record()["input"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """Imported predictions that disagree with their own probabilities; inputs that were skipped, padded or cut."""
        return tuple(self._record()["warnings"] or ())

    def __len__(self) -> int:
        table = self.to_arrow()
        return len(table.column("input").unique()) if "input" in table.column_names else int(table.num_rows)

    def to_arrow(self) -> pa.Table:
        """Columns ``key``, ``predicted``, ``confidence`` and ``wrong`` of images that exist, sorted by key.

        If a prediction is of several images, each of them has a row, with two more columns: ``input``, the key of the
        first image of the input, and ``place``, the position in the input, from 0.
        """
        return self._session.ask(_predictions_of, self.id)

    def to_pandas(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        return frame_of(self.to_arrow())

    def of_images(self, images: Any) -> list[Prediction]:
        """The predictions of images, in their order.

        Args:
            images: A query, images, their ids or keys.

        Raises:
            QueryError: Some images have no prediction in this set.
        """
        return self._session.ask(_of_images, self.id, keys_of_images(self._session, images).tolist())

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        record = self._record()
        by = record["checkpoint"] or "imported"
        return f"PredictionSet({self.id!r}: {len(self):,} predictions over {record['dataset']}, {by}, {record['task']})"

    def _record(self) -> dict[str, Any]:
        return self._session.ask(record_of, self.id)


@served
def _predictions_of(stores: Stores, id: str) -> pa.Table:  # noqa: A002
    """The predictions of images that exist, sorted by key."""
    record_of(stores, id)
    return stores.columns.present(stores.columns.predictions(id))


@served
def _of_images(stores: Stores, id: str, keys: list[int]) -> list[Prediction]:  # noqa: A002
    table = _predictions_of(stores, id)
    place = {key: row for row, key in enumerate(table.column("key").to_pylist())}
    if lacking := [key for key in keys if key not in place]:
        ids = ", ".join(map(repr, ids_of(stores, lacking[:4]).values()))
        raise QueryError(
            f"{len(lacking)} images have no prediction in {id!r}, first {ids}: take images of its data set."
        )
    rows = table.take(pa.array([place[key] for key in keys], pa.int64())).to_pylist()
    probabilities: Sequence[NDArray[np.float32] | None] = [None] * len(keys)
    if stores.columns.segments(probabilities_array(id)):
        known, values = stores.columns.probabilities(id)
        probabilities = list(values[np.searchsorted(known, np.array(keys, np.int64))])
    return [
        Prediction(row["predicted"], row.get("confidence"), row.get("wrong"), each)
        for row, each in zip(rows, probabilities, strict=True)
    ]


class PredictionSets(Collection[PredictionSet]):
    """The ready prediction sets of a workspace: ``db.predictions``."""

    KIND = "PredictionSet"

    def add(self, experiment: Experiment | str, on: Dataset | str, predicted: Any = None, **how: Any) -> PredictionSet:
        """Store predictions of another program. The same predictions again return the existing set.

        Args:
            experiment: The experiment that they belong to.
            on: The data set version that was predicted.
            predicted: The prediction for each image; by default the most probable class.
            how: ``images``, ``confidence``, ``probabilities``, ``classes``, ``task``, ``input``, ``nodes``, as in
                `Experiment.log_predictions`.
        """
        stored = Experiments(self._session)[str(getattr(experiment, "id", experiment))]
        return stored.log_predictions(on, predicted, **how)

    def where(self, *conditions: Expr, dataset: Dataset | str | None = None, **equal: Any) -> ThingQuery[PredictionSet]:
        """Those of which every condition is true, as a query: ``where(F("rows") > 1000, experiment=exp)``.

        Args:
            conditions: Expressions that are true or false.
            dataset: Only sets for this data set version; an id without a version is the latest version.
            equal: Fields and their values; None where the value is missing. A thing stands for its id.
        """
        if dataset is not None:
            equal["dataset"] = self._session.ask(resolve, dataset)
        return super().where(*conditions, **equal)

    def __getitem__(self, id: str) -> PredictionSet:  # noqa: A002 - the users' word for it
        prediction_set = PredictionSet(self._session, id)
        prediction_set._record()  # noqa: SLF001 - raises if it does not exist
        return prediction_set
