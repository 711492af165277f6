"""The (:Segment) nodes: segments that they name are part of the workspace, others are garbage."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from odin_graph.arrays import SegmentInfo
from odin_graph.catalog.records.leases import Lease
from odin_graph.columns.segment_rows import segment_rows
from odin_graph.errors import ConflictError, OdinError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_nodes
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

_log = logging.getLogger(__name__)


def segments_of(stores: Stores, array: str) -> list[SegmentInfo]:
    """The segments of an array that the graph names now, in the order they were made."""
    return list(stores.columns.segments(array))


def all_segments(stores: Stores) -> list[SegmentInfo]:
    """Every segment that the graph names."""
    return [
        SegmentInfo.from_node(row["s"])
        for row in segment_rows(stores.graph, stores.graph, "MATCH (s:Segment) RETURN properties(s) AS s ORDER BY s.id")
    ]


def segment_of(stores: Stores, id_: str) -> SegmentInfo | None:
    """The segment with that id; None if the graph names none."""
    rows = stores.graph.read("MATCH (s:Segment {id: $id}) RETURN properties(s) AS s", {"id": id_})
    return SegmentInfo.from_node(rows[0]["s"]) if rows else None


def name_segments(tx: Transaction, segments: Iterable[SegmentInfo]) -> None:
    """Name segments, in the transaction that makes their rows visible."""
    create_nodes(tx, ("Segment",), [{**segment.node(), "created_at": now()} for segment in segments])


def name_leased(stores: Stores, lease: Lease, segments: Sequence[SegmentInfo]) -> None:
    """Name segments of the thing of a lease. If another process has taken over, their files are removed.

    Raises:
        ConflictError: Another process has the lease now, or one of the segments is named already.
    """

    def name(tx: Transaction) -> None:
        lease.check(tx)
        name_segments(tx, segments)

    try:
        stores.graph.execute(name)
    except ConflictError:
        discard(stores, segments)
        raise


def swap_segments(stores: Stores, old: Sequence[SegmentInfo], new: Sequence[SegmentInfo]) -> bool:
    """Name new segments in place of old ones, in one transaction; `odin gc` removes the old files.

    Returns:
        False if another process swapped some of the old ones first; then the new files are removed.
    """

    def swap(tx: Transaction) -> bool:
        take_turn(tx)
        ids = [segment.id for segment in old]
        rows = tx.run("MATCH (s:Segment) WHERE s.id IN $ids WITH s, s.id AS id DETACH DELETE s RETURN id", {"ids": ids})
        if len(rows) != len(ids):
            raise _SwappedAlreadyError
        name_segments(tx, new)
        return True

    try:
        return stores.graph.execute(swap)
    except _SwappedAlreadyError:
        discard(stores, new)
        return False


def take_turn(tx: Transaction) -> None:
    """Let one transaction at a time swap segments, until it ends.

    Otherwise two transactions of Neo4j could both delete the same node, and its rows would be named twice.
    """
    tx.run("MATCH (w:Workspace) SET w.odin_swaps = coalesce(w.odin_swaps, 0) + 1")


def all_named(stores: Stores, segments: Sequence[SegmentInfo]) -> bool:
    """Whether the graph still names all of them."""
    ids = [segment.id for segment in segments]
    (row,) = stores.graph.read("MATCH (s:Segment) WHERE s.id IN $ids RETURN count(s) AS number", {"ids": ids})
    return bool(row["number"] == len(set(ids)))


def discard(stores: Stores, segments: Iterable[SegmentInfo]) -> None:
    """Remove written files that will not be named; `odin gc` removes those that cannot be removed now.

    Files that the graph names are kept: a transaction may have been committed although it reported a conflict.
    """
    by_id = {segment.id: segment for segment in segments}
    named = stores.graph.read("MATCH (s:Segment) WHERE s.id IN $ids RETURN s.id AS id", {"ids": list(by_id)})
    for id_ in by_id.keys() - {row["id"] for row in named}:
        try:
            stores.arrays.remove(by_id[id_].uri)
        except OdinError:
            _log.warning("%s could not be removed: odin gc will.", by_id[id_].uri, exc_info=True)


class _SwappedAlreadyError(Exception):
    """Rolls the transaction back."""
