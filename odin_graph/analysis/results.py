"""How well an experiment does on a data set, as a table that prints."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis import scores
from odin_graph.analysis.scores import Scores
from odin_graph.errors import QueryError
from odin_graph.query.prediction_sets import choose
from odin_graph.schema.tasks import parse_task
from odin_graph.stores import Stores


@dataclass(frozen=True)
class Results:
    """Measures of one experiment on one data set version, against the labels that the version froze."""

    experiment: str
    dataset: str
    task: str
    classes: tuple[Any, ...]
    scores: Scores
    unlabelled: int
    """Images without a label, which nothing is measured on."""
    by: str | None = None
    groups: Mapping[Hashable, Scores] | None = None
    """The scores of each value of ``by``."""

    def __getitem__(self, measure: str) -> float:
        """One of the overall measures: ``results["accuracy"]``."""
        if measure not in self.scores.overall:
            raise QueryError(
                f"There is no measure {measure!r} of {self.task}. There is: {', '.join(self.scores.overall)}."
            )
        return self.scores.overall[measure]

    @property
    def accuracy(self) -> float:
        """The share of images that it gets right."""
        return self["accuracy"]

    @property
    def per_class(self) -> pd.DataFrame:
        """One row a class: n, precision, recall, F1, sensitivity, specificity, AUROC, average precision."""
        return self.scores.per_class

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts, truth by row and prediction by column.

        Raises:
            QueryError: The task gives an image several classes, or none.
        """
        if self.scores.confusion is None:
            raise QueryError(f"{self.task} has no confusion matrix: an image has not one class.")
        names = list(self.classes)
        return pd.DataFrame(
            self.scores.confusion, index=pd.Index(names, name="truth"), columns=pd.Index(names, name="predicted")
        )

    def to_pandas(self) -> pd.DataFrame:
        """The overall measures: one row, or one for each group."""
        if self.groups is None:
            return pd.DataFrame([{"n": self.scores.n, **self.scores.overall}])
        rows = [{self.by: value, "n": held.n, **held.overall} for value, held in self.groups.items()]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON; what cannot be said is None."""
        return {
            "experiment": self.experiment,
            "dataset": self.dataset,
            "task": self.task,
            "n": self.scores.n,
            "unlabelled": self.unlabelled,
            "overall": _plain(self.scores.overall),
            "per_class": {str(name): _plain(row) for name, row in self.per_class.to_dict("index").items()},
            "confusion": None if self.scores.confusion is None else self.scores.confusion.tolist(),
            "groups": None if self.groups is None else {str(k): _plain(v.overall) for k, v in self.groups.items()},
        }

    def __str__(self) -> str:
        """The measures as aligned text."""
        head = f"{self.experiment} on {self.dataset}: {self.scores.n:,} images"
        lines = [head + (f", {self.unlabelled:,} more without a label" if self.unlabelled else "")]
        lines.append("  ".join(f"{name} {_short(value)}" for name, value in self.scores.overall.items()))
        if self.groups is not None:
            lines.append(self.to_pandas().to_string(index=False, float_format=_short, na_rep="-"))
        elif len(self.per_class):
            lines.append(self.per_class.to_string(float_format=_short, na_rep="-"))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        overall = self.to_pandas().to_html(index=False, float_format=_short, na_rep="-", border=0)
        per_class = self.per_class.to_html(float_format=_short, na_rep="-", border=0) if len(self.per_class) else ""
        return f"<b>{self.experiment} on {self.dataset}</b>{overall}{per_class}"


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
    predictions = stores.columns.predictions(chosen.id)
    members = stores.columns.members(dataset)
    joined = members.join(predictions, "key", join_type="inner").sort_by("key")
    labelled = joined.filter(pa.compute.is_valid(joined.column("label")))
    if not labelled.num_rows:
        raise QueryError(f"No image of {dataset} has a label, so there is nothing to measure {experiment} against.")
    task, classes = _task(stores, experiment, chosen.id)
    keys = labelled.column("key").to_numpy()
    probabilities = _probabilities(stores, chosen.id, keys)
    columns = {name: labelled.column(name).to_pylist() for name in ("label", "predicted", "wrong")}
    classes = classes or _seen(columns["label"], columns["predicted"])

    def measured(positions: NDArray[np.int64]) -> Scores:
        part = {name: [values[p] for p in positions] for name, values in columns.items()}
        if task == "regression":
            return scores.regression(part["label"], part["predicted"], part["wrong"])
        of = scores.multi_label if task == "multi-label" else scores.multi_class
        said = None if probabilities is None or probabilities.shape[1] != len(classes) else probabilities[positions]
        return of(part["label"], part["predicted"], classes, said)

    groups = None
    if by is not None:
        values = _field(stores, by, keys)
        groups = {
            value: measured(np.flatnonzero([held == value for held in values]))
            for value in sorted(set(values), key=lambda held: (held is None, str(type(held)), held))
        }
    return Results(
        experiment,
        dataset,
        task,
        tuple(classes),
        measured(np.arange(len(keys))),
        joined.num_rows - labelled.num_rows,
        by,
        groups,
    )


def _task(stores: Stores, experiment: str, set_id: str) -> tuple[str, list[Any]]:
    (row,) = stores.graph.read(
        "MATCH (s:PredictionSet {id: $set})-[:GENERATED_BY]->(e:Experiment {id: $experiment}) "
        "OPTIONAL MATCH (e)-[:USED]->(m:Model) RETURN s.task AS task, s.classes AS classes, "
        "m.task AS model_task, m.classes AS model_classes",
        {"set": set_id, "experiment": experiment},
    )
    said = row["task"] or row["model_task"] or "multi-class"
    return parse_task(said).name, list(row["classes"] or row["model_classes"] or [])


def _probabilities(stores: Stores, set_id: str, keys: NDArray[np.int64]) -> NDArray[np.float32] | None:
    held, rows = stores.columns.probabilities(set_id)
    if not np.isin(keys, held).all():
        return None
    found: NDArray[np.float32] = rows[np.searchsorted(held, keys)]
    return found


def _field(stores: Stores, name: str, keys: NDArray[np.int64]) -> list[Any]:
    table = stores.columns.images([name])
    positions = pa.compute.index_in(pa.array(keys), table.column("key").combine_chunks())
    return list(table.column(name).take(positions).to_pylist())


def _seen(*columns: Sequence[Any]) -> list[Any]:
    values = {
        item for column in columns for value in column for item in (value if isinstance(value, list) else [value])
    }
    return sorted(values, key=lambda value: (str(type(value)), value))


def _plain(row: Mapping[Any, Any]) -> dict[str, float | None]:
    return {str(name): None if isnan(value) else float(value) for name, value in row.items()}


def _short(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"
