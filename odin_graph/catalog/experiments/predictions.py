"""Prediction sets: first columns, as segments under a parent in state ``building``; then nodes; then ``ready``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import compact
from odin_graph.catalog.experiments.projection import columns_of, project
from odin_graph.catalog.experiments.scoring import Scoring
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import PADDING, Inputs, plan_inputs
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.nodes import unknown
from odin_graph.catalog.records.origins import Origin, draw, texts
from odin_graph.catalog.records.segments import name_leased, segments_of, swap_segments
from odin_graph.catalog.records.tombstones import deleted_members
from odin_graph.catalog.records.unfinished import remove_unfinished
from odin_graph.errors import DataError
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

FLUSH_ROWS = 131_072
FLUSH_SECONDS = 30.0
"""Appended rows are on disk after so many rows or this time: at most these are lost in a crash."""

_UNFINISHED = f"""
MATCH (n:PredictionSet {{state: 'building'}})-[:GENERATED_BY]->(:Experiment {{id: $experiment}}),
      (n)-[:OF]->(:Dataset {{id: $dataset}})
OPTIONAL MATCH (n)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN n.id AS id, c.id AS checkpoint, {leases.FIELDS} ORDER BY n.number
"""
_READY = f"""
MATCH (n:PredictionSet)-[:GENERATED_BY]->(:Experiment {{id: $experiment}}), (n)-[:OF]->(:Dataset {{id: $dataset}})
WHERE {alive("PredictionSet")}
OPTIONAL MATCH (n)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN n.id AS id, c.id AS checkpoint ORDER BY n.number
"""
_RECORD = f"""
MATCH (s:PredictionSet {{id: $id}}) WHERE {alive("PredictionSet", "s")}
OPTIONAL MATCH (s)-[:GENERATED_BY]->(e:Experiment)
OPTIONAL MATCH (s)-[:OF]->(d:Dataset)
OPTIONAL MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN e.id AS experiment, d.id AS dataset, c.id AS checkpoint, s.rows AS rows, s.task AS task, s.nodes AS nodes,
       s.input AS input, s.odin_warnings AS warnings
"""
_OF_IMAGE = f"""
MATCH (i:Image {{key: $key}})<-[:OF]-(p:Prediction)-[:PART_OF]->(s:PredictionSet)-[:GENERATED_BY]->(e:Experiment)
WHERE {alive("PredictionSet", "s")}
RETURN e.id AS experiment, s.id AS set, p.predicted AS predicted, p.confidence AS confidence, p.wrong AS wrong
ORDER BY e.id, s.id
"""


def columns_array(set_id: str) -> str:
    """The array of a set's columns: key, predicted, confidence, wrong."""
    return f"PredictionSet/{set_id}/columns"


def probabilities_array(set_id: str) -> str:
    """The array of a set's probabilities, float32 (n, classes)."""
    return f"PredictionSet/{set_id}/probabilities"


def latest_ready(stores: Stores, experiment: str, dataset: str, checkpoint: str | None) -> str | None:
    """The newest ready set of a checkpoint (None: imported) over a data set version."""
    rows = stores.graph.read(_READY, {"experiment": experiment, "dataset": dataset})
    return next((str(row["id"]) for row in reversed(rows) if row["checkpoint"] == checkpoint), None)


class PredictionBuild:
    """A set that is being written. It is not visible before `finish`; flushed rows survive a crash.

    Created by `begin`. As a context manager it releases its lease at the end, so that the same call can continue.
    """

    def __init__(self, stores: Stores, id: str, scoring: Scoring, lease: Lease, *, resumed: bool) -> None:  # noqa: A002
        self.id = id
        self.resumed = resumed
        """Whether an earlier process left rows."""
        self._stores, self._scoring, self._lease = stores, scoring, lease
        self._stored = stored_keys(stores, id)
        self._pending: list[tuple[pa.Table, NDArray[np.float32] | None]] = []
        self._pending_rows = 0
        self._flushed_at = time.monotonic()

    @classmethod
    def begin(
        cls,
        stores: Stores,
        experiment: str,
        dataset: str,
        *,
        checkpoint: str | None = None,
        scoring: Scoring | None = None,
        input: Input | None = None,  # noqa: A002 - the users' word for it
    ) -> Self:
        """Begin a set, or continue the unfinished one of the same experiment, data set version and checkpoint.

        Args:
            stores: The open workspace.
            experiment: The experiment's id.
            dataset: The data set version's id.
            checkpoint: The checkpoint that predicts; None for imported predictions.
            scoring: Scores the predictions; None uses the task and classes of the model.
            input: What the checkpoint takes as one input, where that is several images.

        Raises:
            ConflictError: A live process is writing it.
            DataError: The members make no such inputs.
        """
        if scoring is None:
            planned = None if input is None else (input, inputs_of_members(stores, input, dataset, str(checkpoint)))
            scoring = Scoring.of(stores, experiment, dataset, inputs=planned)
        for row in stores.graph.read(_UNFINISHED, {"experiment": experiment, "dataset": dataset}):
            if row["checkpoint"] == checkpoint:
                lease = leases.acquire(stores.graph, "PredictionSet", row["id"])
                if scoring.inputs is None or _holds_only(stores, row["id"], scoring.inputs):
                    return cls(stores, row["id"], scoring, lease, resumed=True)
                # The members made other inputs when it was begun: it was never visible.
                lease.release()
                remove_unfinished(stores, "PredictionSet", row["id"])
        number = stores.graph.reserve_keys(1, counter=f"predictions of {experiment}").start
        id_ = f"{experiment}/predictions/{number}"
        origins = [Origin("GENERATED_BY", "Experiment", experiment), Origin("OF", "Dataset", dataset)]
        origins += [Origin("DERIVED_FROM", "Checkpoint", checkpoint)] if checkpoint is not None else []
        row = {
            "id": id_,
            "odin_origins": texts(origins),
            "state": "building",
            "number": number,
            "nodes": False,
            "rows": 0,
            "task": scoring.task_name,
            "classes": list(scoring.classes) if scoring.classes else None,
            "input": None if input is None else input.to_text(),
            "created_at": now(),
        }

        def make(tx: Transaction) -> None:
            tx.run("CREATE (s:PredictionSet) SET s = $row", {"row": {k: v for k, v in row.items() if v is not None}})
            creations.record(tx, "PredictionSet", id_)
            draw(tx, "PredictionSet", id_, origins)

        stores.graph.execute(make)
        return cls(stores, id_, scoring, leases.acquire(stores.graph, "PredictionSet", id_), resumed=False)

    @property
    def inputs(self) -> Inputs | None:
        """The inputs that are predicted, where each is several members."""
        return self._scoring.inputs

    def missing(self) -> NDArray[np.int64]:
        """The members of the data set, in its order, that have no prediction yet and were not deleted since.

        Where a prediction is of several members: the first of each input.
        """
        deleted = np.array(list(deleted_members(self._stores, self._scoring.dataset)), np.int64)
        predicted = [self._stored, *(table.column("key").to_numpy() for table, _ in self._pending)]
        return self._scoring.keys[~np.isin(self._scoring.keys, np.concatenate([deleted, *predicted]))]

    def append(
        self,
        keys: NDArray[np.int64],
        predicted: pa.Array | Sequence[Any] | NDArray[Any],
        confidence: NDArray[Any] | None = None,
        probabilities: NDArray[Any] | None = None,
    ) -> None:
        """Add predictions of members; each once.

        Args:
            keys: The images, or the first image of each input.
            predicted: The class, list of classes, or number of each.
            confidence: One an image, if known.
            probabilities: (n, classes), for all rows of the set or for none.

        Raises:
            DataError: Images that are not members, or have a prediction already.
        """
        keys = np.asarray(keys, np.int64)
        table = self._scoring.table(keys, predicted, confidence)
        rows = None if probabilities is None else self._scoring.probabilities(keys, probabilities)
        if self._scoring.inputs is not None:
            table, owner = spread_over_images(self._scoring.inputs, table)
            rows = None if rows is None else rows[owner]
        self.append_columns(table, rows)

    def append_columns(self, table: pa.Table, probabilities: NDArray[np.float32] | None) -> None:
        """Add predictions that the judge has already checked."""
        keys: NDArray[np.int64] = table.column("key").to_numpy()
        predicted = np.concatenate([self._stored, *(pending.column("key").to_numpy() for pending, _ in self._pending)])
        if (twice := np.isin(keys, predicted)).any() or has_duplicates(keys):
            first = keys[twice][:5].tolist() or keys[:5].tolist()
            raise DataError(f"Images have a prediction of this set already, keys {first}: give each image once.")
        self._pending.append((table, probabilities))
        self._pending_rows += len(keys)
        if self._pending_rows >= FLUSH_ROWS or time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the appended rows as segments of the set."""
        self._flushed_at = time.monotonic()
        if not self._pending:
            return
        table = pa.concat_tables([table for table, _ in self._pending])
        parts = [rows for _, rows in self._pending if rows is not None]
        if parts and len(parts) != len(self._pending):
            raise DataError(
                "Some predictions came with probabilities and some without: give them for all, or for none."
            )
        keys: NDArray[np.int64] = table.column("key").to_numpy()
        segments = [self._stores.arrays.write_table(columns_array(self.id), table.sort_by("key"))]
        if parts:
            rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
            segments.append(self._stores.arrays.write_dense(probabilities_array(self.id), keys, rows))
        name_leased(self._stores, self._lease, segments)
        self._stored = np.concatenate([self._stored, keys])
        self._pending.clear()
        self._pending_rows = 0

    def finish(self, *, nodes: bool = True, remarks: Sequence[str] = ()) -> str:
        """Make the set ready, and thereby visible. Returns its id.

        Args:
            nodes: Also write a (:Prediction) node an image, for lineage in Cypher.
            remarks: Warnings to store on the set, as sentences.
        """
        self.flush()
        if not len(self._stored):
            raise DataError(f"The prediction set {self.id!r} has no predictions: append some before it is finished.")
        self._compact()
        if nodes:
            project(self._stores, self.id, self.id, self._lease, resumed=self.resumed)

        def ready(tx: Transaction) -> None:
            self._lease.check(tx)
            tx.run(
                "MATCH (s:PredictionSet {id: $id}) SET s.state = 'ready', s.nodes = $nodes, s.rows = $rows, "
                "s.odin_warnings = $warnings",
                {"id": self.id, "nodes": nodes, "rows": len(self._stored), "warnings": list(remarks) or None},
            )

        self._stores.graph.execute(ready)
        self._lease.release()
        return self.id

    def release(self) -> None:
        """Release the set, so that another call can continue with the flushed rows."""
        self._lease.release()

    def __enter__(self) -> Self:
        """The build itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self._lease.__exit__(kind, error, trace)

    def _compact(self) -> None:
        columns = segments_of(self._stores, columns_array(self.id))
        if len(columns) > 1:
            table = pa.concat_tables([self._stores.arrays.read_table(segment) for segment in columns]).sort_by("key")
            swap_segments(self._stores, columns, [self._stores.arrays.write_table(columns_array(self.id), table)])
        rows = segments_of(self._stores, probabilities_array(self.id))
        if len(rows) > 1:
            swap_segments(self._stores, rows, compact(self._stores.arrays, rows))


def spread_over_images(inputs: Inputs, table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Columns of inputs as columns of their images, with ``input`` and ``place``; and the row that each came from."""
    order = np.argsort(inputs.first, kind="stable")
    positions = order[np.searchsorted(inputs.first[order], table.column("key").to_numpy())]
    places, owner = inputs.rows(positions)
    there = inputs.keys[places] != PADDING
    places, owner = places[there], owner[there]
    spread = table.take(pa.array(owner))
    within = places - inputs.starts[positions][owner]
    for name, column in (("input", spread.column("key")), ("place", pa.array(within))):
        spread = spread.append_column(name, column)
    return spread.set_column(0, "key", pa.array(inputs.keys[places])), owner


def _holds_only(stores: Stores, set_id: str, inputs: Inputs) -> bool:
    """Whether each stored row of an unfinished set is of one of these inputs."""
    table = columns_of(stores, set_id)
    if table is None:
        return True
    there = inputs.keys != PADDING
    now = dict(zip(inputs.keys[there].tolist(), np.repeat(inputs.first, inputs.sizes)[there].tolist(), strict=True))
    stored = dict(zip(table.column("key").to_pylist(), table.column("input").to_pylist(), strict=True))
    same = set(stored.values())
    return stored == {key: first for key, first in now.items() if first in same}


def inputs_of_members(stores: Stores, input: Input, dataset: str, whose: str) -> Inputs:  # noqa: A002
    """The inputs that the members of a version make, without those that were deleted; ``whose`` is for messages."""
    keys = stores.columns.present(stores.columns.members(dataset)).column("key").to_pylist()
    return plan_inputs(stores, input.to_text(), keys, whose)


def stored_keys(stores: Stores, set_id: str) -> NDArray[np.int64]:
    """The keys that the segments of a set cover."""
    parts = [stores.arrays.keys(segment) for segment in segments_of(stores, columns_array(set_id))]
    return np.concatenate([np.empty(0, np.int64), *parts])


def has_duplicates(keys: NDArray[np.int64]) -> bool:
    """Whether a key occurs twice."""
    return bool((np.diff(np.sort(keys)) == 0).any())


@served
def record_of(stores: Stores, id: str) -> dict[str, Any]:  # noqa: A002 - the users' word for it
    """What a ready set is of: experiment, dataset, checkpoint, rows, task, nodes and warnings.

    Raises:
        UnknownNameError: There is none.
    """
    rows = stores.graph.read(_RECORD, {"id": id})
    if not rows:
        raise unknown(stores, "PredictionSet", "prediction set", id)
    return rows[0]


@served
def of_image(stores: Stores, key: int) -> list[dict[str, Any]]:
    """The predictions of an image that are nodes, by experiment and set."""
    return list(stores.graph.read(_OF_IMAGE, {"key": key}))
