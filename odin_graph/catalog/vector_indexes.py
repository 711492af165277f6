"""Indexes over vectors, for searches that name a recall: derived from segments, and built again where they are gone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from odin_graph.arrays import SegmentInfo
from odin_graph.errors import ConflictError, StoreError
from odin_graph.graph import Transaction, is_read_only
from odin_graph.graph.writer import create_edges
from odin_graph.progress import progress_bar
from odin_graph.schema.properties import now
from odin_graph.stores import Stores
from odin_graph.vectors.approximate import Approximate, Measured, SegmentIndex, choose

LEAST: Final = 20_000
"""Of fewer vectors a scan is faster than an index."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose vectors they are: an ActivationSet or a VectorSet."""

    label: str
    id: str

    def index(self, metric: str) -> str:
        """The id of the index."""
        return f"{self.id}/{metric}"


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """What the graph says of an index."""

    kind: str
    segments: tuple[str, ...]
    uris: tuple[str, ...]
    """Of the segments, in their order."""
    measured: tuple[Measured, ...]


def ensure_index(
    stores: Stores, owner: Owner, segments: Sequence[SegmentInfo], metric: str, recall: float, *, progress: bool = True
) -> Approximate | None:
    """The vectors with an index of each segment; segments that are new are indexed, the others stay as they are.

    Args:
        stores: The open workspace.
        owner: Whose they are.
        segments: All that there are, at least one.
        metric: What near means.
        recall: For which the kind is chosen, where there is no index yet.
        progress: Show a bar.

    Returns:
        None where vectors have no index yet and only reading is allowed: they are scanned then.
    """
    vectors = stores.vectors.open(segments, metric)
    held = index_of(stores, owner, metric)
    there = dict(zip(held.segments, held.uris, strict=True)) if held is not None else {}
    if is_read_only() and not all(info.id in there for info in segments):
        return None
    kind = held.kind if held is not None else choose(vectors, recall)
    uris: list[str] = []
    with progress_bar(f"index {kind}", sum(info.rows for info in segments), show=progress) as done:
        for info in segments:
            uri = there.get(info.id)
            if uri is None or _opened(stores, uri) is None:
                uri = stores.vectors.build_index(info, metric, kind, done)
            else:
                done(info.rows)
            uris.append(uri)
    indexes = tuple(stores.vectors.open_index(uri) for uri in uris)
    if held is not None and list(held.uris) == uris:
        return Approximate(vectors, indexes, held.measured)
    found = Approximate(vectors, indexes, ()).measure()
    ids = tuple(info.id for info in segments)
    name_index(stores, owner, metric, IndexRecord(kind, ids, tuple(uris), found.measured))
    return found


def index_of(stores: Stores, owner: Owner, metric: str) -> IndexRecord | None:
    """What the graph says of the index over somebody's vectors; None if there is none."""
    rows = stores.graph.read(
        "MATCH (v:VectorIndex {id: $id, state: 'ready'}) "
        "RETURN v.kind AS kind, v.segments AS segments, v.uris AS uris, v.measured AS measured",
        {"id": owner.index(metric)},
    )
    if not rows:
        return None
    measured = tuple(Measured(**one) for one in json.loads(rows[0]["measured"]))
    return IndexRecord(rows[0]["kind"], tuple(rows[0]["segments"]), tuple(rows[0]["uris"]), measured)


def name_index(stores: Stores, owner: Owner, metric: str, index: IndexRecord) -> None:
    """Name an index that was built, in place of an older one, whose files are left to `odin gc`."""
    id_ = owner.index(metric)
    row = {
        "id": id_,
        "state": "ready",
        "metric": metric,
        "kind": index.kind,
        "segments": list(index.segments),
        "uris": list(index.uris),
        "measured": json.dumps([asdict(one) for one in index.measured]),
        "created_at": now(),
    }

    def make(tx: Transaction) -> None:
        if tx.run("MATCH (v:VectorIndex {id: $id}) SET v += $row RETURN v.id AS id", {"id": id_, "row": row}):
            return
        tx.run("CREATE (v:VectorIndex) SET v = $row", {"row": row})
        create_edges(tx, "DERIVED_FROM", ("VectorIndex", "id"), (owner.label, "id"), [{"start": id_, "end": owner.id}])

    try:
        stores.graph.execute(make)
    except ConflictError:  # another process made the node a moment ago: it is there to be set now
        stores.graph.execute(make)


def _opened(stores: Stores, uri: str) -> SegmentIndex | None:
    """None where the file is gone, cut short or altered: it is built again."""
    try:
        return stores.vectors.open_index(uri)
    except StoreError:
        stores.arrays.remove(uri)
        return None
