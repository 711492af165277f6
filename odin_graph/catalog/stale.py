"""What still holds a label that was corrected since: data set versions, and what was made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.catalog.labels import same_label
from odin_graph.stores import Stores

# The labels of a version are those of its making: only what was corrected later can differ from them.
_CORRECTED = """
MATCH (c:LabelChange) MATCH (c)-[:OF]->(i:Image) MATCH (i)<-[:HAD_MEMBER]-(d:Dataset)
WHERE i.deleted IS NULL AND d.state = 'ready' AND d.label_field = 'label' AND c.at >= d.created_at
RETURN DISTINCT d.id AS dataset, i.id AS image, i.key AS key, i.label AS today
"""
_USERS = """
UNWIND $ids AS id MATCH (d:Dataset {id: id})
OPTIONAL MATCH (d)<-[:OF]-(s:PredictionSet {state: 'ready'})
OPTIONAL MATCH (s)-[:GENERATED_BY]->(e:Experiment) WHERE e.deleted IS NULL
RETURN d.id AS dataset, s.id AS said, e.id AS experiment, 'predicted' AS role
UNION UNWIND $ids AS id MATCH (d:Dataset {id: id}) MATCH (d)<-[u:USED]-(e:Experiment) WHERE e.deleted IS NULL
RETURN d.id AS dataset, null AS said, e.id AS experiment, u.role AS role
"""


@dataclass(frozen=True)
class Stale:
    """What holds another label than today's. Nothing of it was changed: it says what may have to be redone."""

    labels: pa.Table
    """A row an image and data set version: ``image``, ``key``, ``dataset``, ``frozen``, ``today`` (labels as text)."""
    datasets: dict[str, int]
    """How many labels of each version are not today's."""
    prediction_sets: dict[str, str]
    """What was judged by such labels, and the version that it is over."""
    experiments: dict[str, dict[str, str]]
    """By experiment: the role of each such version (train, test ..., or ``predicted``)."""

    def __bool__(self) -> bool:
        """Whether anything is stale."""
        return bool(self.datasets)

    def __str__(self) -> str:
        """A line a thing."""
        if not self:
            return "Nothing is stale: every frozen label is today's."
        lines = [f"{id_}: {number:,} labels were corrected since" for id_, number in self.datasets.items()]
        lines += [f"{id_}: judged by the labels of {dataset}" for id_, dataset in self.prediction_sets.items()]
        lines += [
            f"{id_}: {', '.join(f'{role} {dataset}' for dataset, role in used.items())}"
            for id_, used in self.experiments.items()
        ]
        return "\n".join(lines)

    __repr__ = __str__


def stale(stores: Stores) -> Stale:
    """Compare the labels that ready versions froze with today's, where a correction came after the version."""
    by_dataset: dict[str, list[dict[str, Any]]] = {}
    for rows in stores.graph.stream(_CORRECTED):
        for row in rows:
            by_dataset.setdefault(row["dataset"], []).append(row)
    found: list[dict[str, Any]] = []
    for dataset, corrected in sorted(by_dataset.items()):
        frozen = _frozen(stores, dataset, [row["key"] for row in corrected])
        found += [
            {**row, "frozen": frozen[row["key"]]}
            for row in sorted(corrected, key=lambda row: int(row["key"]))
            if row["key"] in frozen and not same_label(frozen[row["key"]], row["today"])
        ]
    datasets: dict[str, int] = {}
    for row in found:
        datasets[row["dataset"]] = datasets.get(row["dataset"], 0) + 1
    sets: dict[str, str] = {}
    experiments: dict[str, dict[str, str]] = {}
    for row in stores.graph.read(_USERS, {"ids": list(datasets)}) if datasets else ():
        if row["said"] is not None:
            sets[row["said"]] = row["dataset"]
        if row["experiment"] is not None:
            used = experiments.setdefault(row["experiment"], {})
            if row["role"] != "predicted" or row["dataset"] not in used:
                used[row["dataset"]] = row["role"]
    return Stale(_table(found), datasets, dict(sorted(sets.items())), dict(sorted(experiments.items())))


def _frozen(stores: Stores, dataset: str, keys: list[int]) -> dict[int, Any]:
    members = stores.columns.members(dataset)
    places = np.flatnonzero(np.isin(members.column("key").to_numpy(), np.array(keys, np.int64)))
    rows = members.take(pa.array(places))
    return dict(zip(rows.column("key").to_pylist(), rows.column("label").to_pylist(), strict=True))


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
