"""Indexes over vectors, for approximate search with a given recall: derived from segments, and rebuilt if missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from odin_graph.arrays import SegmentInfo
from odin_graph.errors import ConflictError, StoreError
from odin_graph.graph import Transaction, is_read_only
from odin_graph.graph.writer import create_edges
from odin_graph.progress import progress_bar
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.stores import Stores
from odin_graph.vectors.approximate import KIND, Approximate, lists_of

LEAST: Final = 20_000
"""With fewer vectors a scan is faster than an index."""
PRICE: Final = 0.5
"""Cost of building an index, in scans for each of its lists: it is built after that many scans."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The set that owns the vectors: an ActivationSet or a VectorSet."""

    label: str
    id: str

    def index(self, metric: str) -> str:
        """The id of the index."""
        return f"{self.id}/{metric}"


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """The node of an index."""

    kind: str
    segments: tuple[str, ...]
    uris: tuple[str, ...]
    """URIs of the index files, in the order of the segments."""


def ensure_index(
    stores: Stores, owner: Owner, segments: Sequence[SegmentInfo], metric: str, *, progress: bool = True
) -> Approximate | str:
    """The vectors with an index of each segment; only new segments are indexed.

    Args:
        stores: The open workspace.
        owner: The set that owns them.
        segments: All segments, at least one.
        metric: The distance metric.
        progress: Show a bar.

    Returns:
        If a scan is better, the reason: there are few vectors, only reading is allowed, or there were too few
        searches for an index to pay. This search is counted.
    """
    segments = [info for info in segments if info.rows]
    if (number := sum(info.rows for info in segments)) < LEAST:
        return f"scanned, since there are {number:,} vectors: exact"
    record = index_of(stores, owner, metric)
    index_uris = {} if record is None else dict(zip(record.segments, record.uris, strict=True))
    index_uris = {
        info.id: index_uris[info.id]
        for info in segments
        if info.id in index_uris and _opens(stores, index_uris[info.id], info)
    }
    missing = [info for info in segments if info.id not in index_uris]
    if missing and is_read_only():
        return "scanned, since there is no index, and this may only read: exact"
    if missing:
        price = PRICE * sum(lists_of(info.rows) for info in missing)
        stores.vectors.scans[owner.index(metric)] += 1
        if (scans := stores.vectors.scans[owner.index(metric)]) <= price:
            return f"scanned, since an index pays after {price:,.0f} searches, and this is number {scans:,}: exact"
        with progress_bar(f"index of {owner.id}", sum(info.rows for info in missing), show=progress) as done:
            index_uris |= {info.id: stores.vectors.build_index(info, metric, done) for info in missing}
        uris = tuple(index_uris[info.id] for info in segments)
        name_index(stores, owner, metric, IndexRecord(KIND, tuple(info.id for info in segments), uris))
    indexes = tuple(stores.vectors.open_index(index_uris[info.id], info) for info in segments)
    return Approximate(stores.vectors.open(segments, metric), indexes)


def index_of(stores: Stores, owner: Owner, metric: str) -> IndexRecord | None:
    """The index over the vectors of a set; None if there is none, or only one of an older kind."""
    rows = stores.graph.read(
        f"MATCH (v:VectorIndex {{id: $id, kind: $kind}}) WHERE {alive('VectorIndex', 'v')} "
        "RETURN v.segments AS segments, v.uris AS uris",
        {"id": owner.index(metric), "kind": KIND},
    )
    return IndexRecord(KIND, tuple(rows[0]["segments"]), tuple(rows[0]["uris"])) if rows else None


def name_index(stores: Stores, owner: Owner, metric: str, index: IndexRecord) -> None:
    """Store a built index in the graph, in place of an older one, whose files `odin gc` removes."""
    id_ = owner.index(metric)
    row = {
        "id": id_,
        "state": "ready",
        "metric": metric,
        "kind": index.kind,
        "segments": list(index.segments),
        "uris": list(index.uris),
        "created_at": now(),
    }

    def make(tx: Transaction) -> None:
        if tx.run("MATCH (v:VectorIndex {id: $id}) SET v += $row RETURN v.id AS id", {"id": id_, "row": row}):
            return
        tx.run("CREATE (v:VectorIndex) SET v = $row", {"row": row})
        create_edges(tx, "DERIVED_FROM", ("VectorIndex", "id"), (owner.label, "id"), [{"start": id_, "end": owner.id}])

    try:
        stores.graph.execute(make)
    except ConflictError:  # another process has just created the node: now it can be set
        stores.graph.execute(make)


def _opens(stores: Stores, uri: str, info: SegmentInfo) -> bool:
    """Whether an index file can be opened. A damaged file is removed, to be built again."""
    try:
        stores.vectors.open_index(uri, info)
    except StoreError:
        if not is_read_only():
            stores.arrays.remove(uri)
        return False
    return True
