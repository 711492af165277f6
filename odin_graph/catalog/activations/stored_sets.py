"""Every stored activation set, how useful it is, and which sets to drop when space is needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from odin_graph.arrays import SegmentInfo
from odin_graph.catalog.activations.usage import Usage, usage_of
from odin_graph.catalog.records import leases
from odin_graph.columns.segment_rows import segment_rows
from odin_graph.errors import StoreError
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.metadata import decode
from odin_graph.served import travels
from odin_graph.stores import Stores

_WORD: Final = "ActivationSet/"
_SETS: Final = f"""
MATCH (n:ActivationSet) WHERE {undeleted()}
OPTIONAL MATCH (n)-[:DERIVED_FROM]->(c:Checkpoint)
WITH n, collect(DISTINCT c.id) AS checkpoints
RETURN n.id AS id, n.layer AS layer, n.pooling AS pooling, n.codec AS codec, n.created_at AS created_at,
       n.odin_pinned AS pinned, n.odin_seconds AS seconds, checkpoints, {leases.FIELDS}
ORDER BY n.created_at, n.id
"""
_SEGMENTS: Final = """
MATCH (s:Segment) WHERE s.array STARTS WITH $word RETURN properties(s) AS s ORDER BY s.created_at, s.id
"""
_INDEXES: Final = """
MATCH (v:VectorIndex)-[:DERIVED_FROM]->(n:ActivationSet) WHERE v.uris IS NOT NULL RETURN n.id AS id, v.uris AS uris
"""


@travels
@dataclass(frozen=True, slots=True)
class StoredSet:
    """A stored set of activations, of units or of embeddings, that is not deleted."""

    id: str
    layer: str
    """The name of the layer in the model that the activations were first computed with."""
    checkpoints: tuple[str, ...]
    """The ids of the checkpoints that share the set."""
    pooling: str
    codec: str
    images: int
    """The number of images that have activations in it."""
    bytes: int
    """The size on disk, with its indexes."""
    seconds: float
    """The time that computing it took, which it would take again if it were dropped."""
    usage: Usage
    """How often it was used on this machine."""
    created: datetime
    """UTC."""
    pinned: bool = False
    busy: bool = False
    """Whether a running process adds to it."""

    def worth(self, at: datetime) -> float:
        """The saved seconds per byte, decayed to a moment."""
        return self.usage.decayed(at) / max(1, self.bytes)


def stored_sets(stores: Stores) -> list[StoredSet]:
    """Every set, oldest first: three queries and one listing of the arrays, however many there are."""
    rows = stores.graph.read(_SETS)
    if not rows:
        return []
    segments: dict[str, list[SegmentInfo]] = {}
    for row in segment_rows(stores.graph, stores.graph, _SEGMENTS, {"word": _WORD}):
        info = SegmentInfo.from_node(row["s"])
        segments.setdefault(info.array.removeprefix(_WORD).rpartition("/")[0], []).append(info)
    uris = {set_id: {info.uri for info in infos} for set_id, infos in segments.items()}
    for row in stores.graph.read(_INDEXES):
        uris.setdefault(row["id"], set()).update(row["uris"])
    sizes = {file.uri: file.bytes for folder in ("segments", "indexes") for file in stores.arrays.raw.list(folder)}
    return [
        StoredSet(
            id=row["id"],
            layer=row["layer"],
            checkpoints=tuple(sorted(row["checkpoints"])),
            pooling=row["pooling"],
            codec=row["codec"],
            images=_images(stores, segments.get(row["id"], [])),
            bytes=sum(sizes.get(uri, 0) for uri in uris.get(row["id"], ())),
            seconds=float(row["seconds"] or 0.0),
            usage=usage_of(stores, row["id"]),
            created=decode(row["created_at"]).replace(tzinfo=UTC),
            pinned=bool(row["pinned"]),
            busy=_is_live(row),
        )
        for row in rows
    ]


def least_useful_first(sets: Sequence[StoredSet], at: datetime | None = None) -> list[StoredSet]:
    """Sort by the seconds that keeping a byte saves; equal sets by their last use, the oldest first."""
    moment = at or datetime.now(UTC)
    return sorted(sets, key=lambda stored: (stored.worth(moment), stored.usage.last or stored.created, stored.id))


def to_drop(
    sets: Sequence[StoredSet], needed: int, spare: Collection[str] = (), at: datetime | None = None
) -> list[StoredSet] | None:
    """Choose the sets to drop to free so many bytes: the least useful ones, and no more than needed.

    Args:
        sets: All sets.
        needed: Bytes to free; nothing is chosen if it is 0 or less.
        spare: Ids of sets to keep. Pinned sets and sets being written are kept too.
        at: The time for the weights; by default now.

    Returns:
        None if all sets that may be dropped free less than that.
    """
    chosen: list[StoredSet] = []
    freed = 0
    for stored in least_useful_first(sets, at):
        if freed >= needed:
            break
        if stored.bytes and not (stored.pinned or stored.busy or stored.id in spare):
            chosen.append(stored)
            freed += stored.bytes
    if freed < needed:
        return None
    for stored in reversed(list(chosen)):  # a large set may free enough without the smaller ones
        if freed - stored.bytes >= needed:
            chosen.remove(stored)
            freed -= stored.bytes
    return chosen


def _images(stores: Stores, segments: Sequence[SegmentInfo]) -> int:
    if len({info.keys for info in segments}) <= 1:
        return segments[0].rows if segments else 0
    try:
        return len(np.unique(np.concatenate([stores.arrays.keys(info) for info in segments])))
    except StoreError:  # it was dropped meanwhile
        return max(info.rows for info in segments)


def _is_live(row: dict[str, Any]) -> bool:
    holder = leases.of_row(row)
    return holder is not None and holder.live
