"""Prediction sets: columns over members of the data set, probabilities for the same images, nodes that agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.experiments.predictions import columns_array, probabilities_array
from odin_graph.catalog.experiments.projection import project_again
from odin_graph.catalog.experiments.scoring import Scoring
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import OdinError, StoreError
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_SETS = f"""
MATCH (s:PredictionSet) WHERE {alive("PredictionSet", "s")} OPTIONAL MATCH (s)-[:OF]->(d:Dataset)
OPTIONAL MATCH (s)-[:GENERATED_BY]->(e:Experiment) OPTIONAL MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN s.id AS id, s.rows AS rows, s.nodes AS nodes, s.task AS task, s.classes AS classes, d.id AS dataset,
       e.id AS experiment, c.id AS checkpoint
"""
_NODES = """
MATCH (:PredictionSet {id: $id})<-[:PART_OF]-(p:Prediction)-[:OF]->(i:Image)
RETURN i.key AS key, p.id AS id, p.predicted AS predicted, p.confidence AS confidence, p.wrong AS wrong
"""
_RESTORE = "Restore the graph from a backup, and look for a client that changes nodes of ours."
_AGAIN = "Predict again; the new set takes its place."


def check_predictions(stores: Stores) -> Iterator[Fault]:
    """Check that each ready set is complete, and that its nodes, if any, agree with its columns."""
    for row in stores.graph.read(_SETS):
        thing = f"prediction set {row['id']!r}"
        try:
            table, reasons = _columns(stores, row)
        except (StoreError, OSError) as error:
            yield Fault(thing, f"Its columns cannot be read: {error}", _AGAIN)
            continue
        for reason in reasons:
            yield Fault(thing, reason, _AGAIN)
        difference = None if table is None or reasons else _differently_scored(stores, row, table)
        if difference is not None:
            yield Fault(thing, difference, _RESTORE)
        if row["nodes"] and table is not None:
            for reason in _disagreements(stores, row["id"], table):
                yield Fault(
                    thing,
                    reason,
                    "`odin doctor --repair` writes the nodes again from the columns.",
                    partial(_project_again, stores, row["id"]),
                )


def _columns(stores: Stores, row: dict[str, Any]) -> tuple[pa.Table | None, list[str]]:
    """The columns of a set, and what is wrong with them."""
    reasons: list[str] = []
    tables = [stores.arrays.read_table(info) for info in segments_of(stores, columns_array(row["id"]))]
    if not tables:
        return None, ["It has no columns."]
    table = pa.concat_tables(tables)
    keys = table.column("key").to_numpy()
    if len(keys) != row["rows"]:
        reasons.append(f"It has {len(keys)} rows, and {row['rows']} were written.")
    if (number := len(keys) - len(np.unique(keys))) > 0:
        reasons.append(f"{number} images have two predictions.")
    if row["dataset"] is None:
        reasons.append("It is of no data set.")
    else:
        members = stores.columns.members(row["dataset"]).column("key").to_numpy()
        if (unknown := np.setdiff1d(keys, members)).size:
            reasons.append(f"{unknown.size} images are not in {row['dataset']!r}, first keys {shown(unknown)}.")
    segments = segments_of(stores, probabilities_array(row["id"]))
    if segments:
        covered = np.sort(np.concatenate([stores.arrays.keys(info) for info in segments]))
        if not np.array_equal(covered, np.sort(keys)):
            reasons.append("Its probabilities are of other images than its columns.")
        if (width := segments[0].shape[-1]) != len(row["classes"] or ()):
            reasons.append(f"It has {len(row['classes'] or ())} classes, and its probabilities are of {width}.")
    return table, reasons


def _differently_scored(stores: Stores, row: dict[str, Any], table: pa.Table) -> str | None:
    """Why a set was not scored by its task and classes (of a checkpoint: those of its model); None if it was."""
    own = row["task"], row["classes"]
    try:
        scoring = Scoring.of(stores, row["experiment"], row["dataset"], *(own if row["checkpoint"] is None else ()))
        if (scoring.task_name, list(scoring.classes or ())) != (row["task"], row["classes"] or []):
            return f"Its task and classes are {own}, and its model's are {(scoring.task_name, scoring.classes)}."
        if row["checkpoint"] is None:
            again = scoring.table(table.column("key").to_numpy(), table.column("predicted").to_pylist(), None)
            if not again.column("wrong").equals(table.column("wrong")):
                return f"What is wrong by its task {row['task']!r} and its classes is not what its columns say."
    except OdinError as error:
        return f"Its predictions cannot be scored by its task {row['task']!r} and its classes: {error}"
    return None


def _disagreements(stores: Stores, set_id: str, table: pa.Table) -> Iterator[str]:
    expected = {row["key"]: row for row in table.to_pylist()}
    number, differ = 0, []
    for rows in stores.graph.stream(_NODES, {"id": set_id}):
        for node in rows:
            number += 1
            row = expected.get(node["key"])
            if (
                row is None
                or not all(_same(row[name], node[name]) for name in ("predicted", "confidence", "wrong"))
                or node["id"] != f"{set_id}:{row.get('input', node['key'])}"
            ):
                differ.append(node["key"])
    if number != len(expected):
        what = "edges from its predictions to images" if "input" in table.column_names else "prediction nodes"
        yield f"It has {number} {what} and {len(expected)} rows."
    if differ:
        yield f"{len(differ)} prediction nodes do not say what the columns say, first keys {shown(differ)}."


def _project_again(stores: Stores, set_id: str) -> str:
    project_again(stores, set_id)
    return f"prediction set {set_id!r}: its nodes were written again from its columns."


def _same(column: Any, node: Any) -> bool:
    if isinstance(column, float) and isinstance(node, float):
        return math.isclose(column, node, rel_tol=1e-9)
    return bool(column == node)
