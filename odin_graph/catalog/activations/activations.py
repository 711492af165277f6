"""Activation sets: rows of a layer by key, in segments; a ready set can be extended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray, SegmentInfo, compact
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.nodes import unknown
from odin_graph.catalog.records.segments import discard, name_segments, segments_of, swap_segments
from odin_graph.catalog.records.unfinished import remove_unfinished
from odin_graph.deadline import check
from odin_graph.errors import ConflictError, OdinError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_edges
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

MANY = 8
"""A set with more segments is compacted."""
_RECORD = f"""
MATCH (s:ActivationSet {{id: $id}}) WHERE {alive("ActivationSet", "s")}
OPTIONAL MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN s.layer AS layer, s.pooling AS pooling, min(c.id) AS checkpoint, s.odin_digest AS digest, s.codec AS codec
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LayerRef:
    """A layer of a checkpoint, pooled to one vector an image."""

    checkpoint: str
    layer: str
    pooling: str = "mean"

    @property
    def set_id(self) -> str:
        """The id of its activation set."""
        return f"{self.checkpoint}/activations/{self.layer}/{self.pooling}"


def rows_array(set_id: str) -> str:
    """The array of a set's rows, float32 (n, d)."""
    return f"ActivationSet/{set_id}/rows"


def rows_of(stores: Stores, set_id: str) -> SegmentedArray:
    """The rows that are stored."""
    return SegmentedArray(stores.arrays, segments_of(stores, rows_array(set_id)))


@contextmanager
def growing(stores: Stores, ref: LayerRef) -> Iterator[Growth]:
    """Create the set if there is none, and lock it for adding; it is ready afterwards.

    Waits for another process that is adding to it: what that computes need not be computed here.
    """
    _create(stores, ref)
    lease = wait_for(stores, ref.set_id)
    with lease:
        exists(stores, ref.set_id)  # restores it if another process has dropped it meanwhile; from now on none can
        growth = Growth(stores, ref.set_id, lease)
        with settled(stores, ref.set_id, rows_array(ref.set_id)):
            yield growth
            growth.finish()


@contextmanager
def settled(stores: Stores, set_id: str, array: str) -> Iterator[None]:
    """If the block fails, make the set ready with what is stored, or remove it if it is empty."""

    def settle() -> None:
        if segments_of(stores, array):
            stores.graph.write("MATCH (s:ActivationSet {id: $id}) SET s.state = 'ready'", {"id": set_id})
        else:
            remove_unfinished(stores, "ActivationSet", set_id)

    try:
        yield
    except Exception:
        with suppress(OdinError):  # the engine has stopped: `odin gc` removes it
            Context().run(settle)  # without the time limit, which may be what failed
        raise


@dataclass(frozen=True, eq=False)
class Growth:
    """A set that is being added to."""

    stores: Stores
    set_id: str
    lease: Lease

    def missing(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The keys that no segment covers."""
        return rows_of(self.stores, self.set_id).missing(keys)

    def add(self, keys: NDArray[np.int64], rows: NDArray[np.float32], *, seconds: float = 0.0) -> None:
        """Write a further segment and name it in the graph: a later crash does not lose it.

        Args:
            keys: The images.
            rows: The output of the layer for them (n, d).
            seconds: The time of computing them; the time of writing is added.

        Raises:
            ConflictError: Another process took over, or images among them were purged meanwhile.
        """
        began = time.perf_counter()
        segment = self.stores.arrays.write_dense(rows_array(self.set_id), keys, rows)
        name_grown(self.stores, self.lease, segment, seconds + time.perf_counter() - began)

    def finish(self) -> None:
        """Compact many segments into few; make the set ready."""
        segments: list[SegmentInfo] = segments_of(self.stores, rows_array(self.set_id))
        if len(segments) > MANY:
            swap_segments(self.stores, segments, compact(self.stores.arrays, segments))

        def ready(tx: Transaction) -> None:
            self.lease.check(tx)
            tx.run("MATCH (s:ActivationSet {id: $id}) SET s.state = 'ready'", {"id": self.set_id})

        self.stores.graph.execute(ready)


def name_grown(stores: Stores, lease: Lease, segment: SegmentInfo, seconds: float) -> None:
    """Add a written segment to the set of a lease.

    Raises:
        ConflictError: Another process took over, or images in it were purged meanwhile. The segment is removed.
    """

    def name(tx: Transaction) -> None:
        lease.check(tx)
        _refuse_purged(stores, tx, segment)
        name_segments(tx, [segment])
        tx.run(
            "MATCH (s:ActivationSet {id: $id}) SET s.odin_seconds = coalesce(s.odin_seconds, 0.0) + $seconds",
            {"id": lease.id, "seconds": float(seconds)},
        )

    try:
        stores.graph.execute(name)
    except ConflictError:
        discard(stores, [segment])
        raise


def _refuse_purged(stores: Stores, tx: Transaction, segment: SegmentInfo) -> None:
    rows = tx.run(
        "MATCH (x:Deletion)<-[:INVALIDATED_BY]-(i:Image) WHERE x.state IS NOT NULL "
        "AND i.key >= $low AND i.key <= $high RETURN i.key AS key",
        {"low": segment.min_key, "high": segment.max_key},
    )
    purged = np.array([row["key"] for row in rows], np.int64)
    if len(purged) and np.isin(purged, stores.arrays.keys(segment)).any():
        raise ConflictError(
            "Images were purged while their activations were computed, so what was computed is not kept: make the "
            "same call again."
        )


def exists(stores: Stores, set_id: str) -> bool:
    """Whether a set has a node. The node of a deleted set is restored first, to be computed again."""
    rows = stores.graph.read("MATCH (s:ActivationSet {id: $id}) RETURN s.deleted AS deleted", {"id": set_id})
    if rows and rows[0]["deleted"]:
        stores.graph.write(
            "MATCH (s:ActivationSet {id: $id}) WHERE s.deleted IS NOT NULL SET s.deleted = null, s.state = 'building', "
            "s.odin_seconds = null, s.odin_pinned = null WITH s MATCH (s)-[x:INVALIDATED_BY]->() DELETE x",
            {"id": set_id},
        )
    return bool(rows)


def _create(stores: Stores, ref: LayerRef) -> None:
    if exists(stores, ref.set_id):
        return
    row = {
        "id": ref.set_id,
        "state": "building",
        "layer": ref.layer,
        "pooling": ref.pooling,
        "codec": "float32",
        "created_at": now(),
    }

    def make(tx: Transaction) -> None:
        tx.run("CREATE (s:ActivationSet) SET s = $row", {"row": row})
        creations.record(tx, "ActivationSet", ref.set_id)
        edge = {"start": ref.set_id, "end": ref.checkpoint}
        create_edges(tx, "DERIVED_FROM", ("ActivationSet", "id"), ("Checkpoint", "id"), [edge])

    try:
        stores.graph.execute(make)
    except ConflictError:  # another process made it a moment ago
        _log.debug("%s was made by another process", ref.set_id)


def wait_for(stores: Stores, set_id: str) -> Lease:
    """Acquire the lease of a set; waits for another process that has it."""
    warned = False
    while True:
        try:
            return leases.acquire(stores.graph, "ActivationSet", set_id)
        except ConflictError as busy:
            if not warned:
                _log.warning("Waiting: %s", busy)
                warned = True
            check()
            time.sleep(0.5)


@served
def record_of(stores: Stores, id: str) -> dict[str, Any]:  # noqa: A002 - the users' word for it
    """What a ready set is of: layer, pooling, checkpoint, digest (of sets of units) and codec.

    Raises:
        UnknownNameError: There is none.
    """
    rows = stores.graph.read(_RECORD, {"id": id})
    if not rows:
        raise unknown(stores, "ActivationSet", "activation set", id)
    return rows[0]
