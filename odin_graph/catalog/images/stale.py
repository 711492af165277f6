"""What still has a label that was corrected since: data set versions, and what was made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.catalog.images.stale_labels import stale_labels
from odin_graph.graph.moment import Moment
from odin_graph.schema.kinds import alive
from odin_graph.served import served, travels
from odin_graph.stores import Stores

_VERSIONS = f"""
MATCH (d:Dataset) WHERE {alive("Dataset", "d")} AND d.label_field IS NOT NULL RETURN d.id AS id ORDER BY id
"""
_USERS = f"""
UNWIND $ids AS id MATCH (d:Dataset {{id: id}})
OPTIONAL MATCH (d)<-[:OF]-(s:PredictionSet) WHERE {alive("PredictionSet", "s")}
OPTIONAL MATCH (s)-[:GENERATED_BY]->(e:Experiment) WHERE {alive("Experiment", "e")}
RETURN d.id AS dataset, s.id AS prediction_set, e.id AS experiment, 'predicted' AS role
UNION UNWIND $ids AS id MATCH (d:Dataset {{id: id}}) MATCH (d)<-[u:USED]-(e:Experiment) WHERE {alive("Experiment", "e")}
RETURN d.id AS dataset, null AS prediction_set, e.id AS experiment, u.role AS role
"""


@travels
@dataclass(frozen=True)
class Stale:
    """Frozen labels that differ from today's, and what was made with them. Nothing was changed by the check."""

    labels: pa.Table
    """One row for each image and data set version: ``image``, ``key``, ``dataset``, ``frozen``, ``today`` (as text)."""
    datasets: dict[str, int]
    """The number of stale labels by data set version."""
    prediction_sets: dict[str, str]
    """Prediction sets that were evaluated with stale labels, each with its data set version."""
    experiments: dict[str, dict[str, str]]
    """By experiment: the stale versions that it used, each with its role (train, test ..., or ``predicted``)."""

    def __bool__(self) -> bool:
        """Whether anything is stale."""
        return bool(self.datasets)

    def __str__(self) -> str:
        """One line for each version, prediction set and experiment."""
        if not self:
            return "Nothing is stale: every frozen label is today's."
        lines = [f"{id_}: {number:,} labels differ from today's" for id_, number in self.datasets.items()]
        lines += [f"{id_}: evaluated with the labels of {dataset}" for id_, dataset in self.prediction_sets.items()]
        lines += [
            f"{id_}: {', '.join(f'{role} {dataset}' for dataset, role in used.items())}"
            for id_, used in self.experiments.items()
        ]
        return "\n".join(lines)

    __repr__ = __str__


@served
def stale(stores: Stores) -> Stale:
    """Compare the frozen labels of ready versions with the current ones.

    The history is not used, so changes by other clients of the graph count like those by `db.labels.update`.
    """
    at = stores.graph.moment()
    rows: list[dict[str, Any]] = []
    for version in stores.graph.read(_VERSIONS):
        table = stale_labels(stores, version["id"]).sort_by("key")
        rows += [{**row, "dataset": version["id"]} for row in table.to_pylist()]
    names = dict(zip(*_ids(stores, [row["key"] for row in rows], at), strict=True))
    for row in rows:
        row["image"] = names.get(row["key"])
    datasets: dict[str, int] = {}
    for row in rows:
        datasets[row["dataset"]] = datasets.get(row["dataset"], 0) + 1
    sets: dict[str, str] = {}
    experiments: dict[str, dict[str, str]] = {}
    for row in stores.graph.read(_USERS, {"ids": list(datasets)}) if datasets else ():
        if row["prediction_set"] is not None:
            sets[row["prediction_set"]] = row["dataset"]
        if row["experiment"] is not None:
            used = experiments.setdefault(row["experiment"], {})
            if row["role"] != "predicted" or row["dataset"] not in used:
                used[row["dataset"]] = row["role"]
    return Stale(_table(rows), datasets, dict(sorted(sets.items())), dict(sorted(experiments.items())))


def _ids(stores: Stores, keys: list[int], at: Moment) -> tuple[list[int], list[str]]:
    images = stores.columns.images(["id"], np.array(keys, np.int64), at)
    return images.column("key").to_pylist(), images.column("id").to_pylist()


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    def text(value: Any) -> str | None:
        return None if value is None else str(value)

    return pa.table(
        {
            "image": pa.array([row["image"] for row in rows], pa.string()),
            "key": pa.array([row["key"] for row in rows], pa.int64()),
            "dataset": pa.array([row["dataset"] for row in rows], pa.string()),
            "frozen": pa.array([text(row["frozen"]) for row in rows], pa.string()),
            "today": pa.array([text(row["today"]) for row in rows], pa.string()),
        }
    )
