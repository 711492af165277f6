"""Vectors that users store under a name: rows by key, in segments; a set can be extended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray, SegmentInfo, compact
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import discard, name_leased, segments_of, swap_segments
from odin_graph.errors import ConflictError, QueryError, ShapeError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.progress import progress_bar
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.served import served, travels
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

LABEL: Final = "VectorSet"
MANY: Final = 8
"""A set with more segments is compacted."""
_BYTES: Final = 256 * 2**20
"""Size of the rows of one segment: at most this is lost in a crash."""
_READY: Final = f"MATCH (v:VectorSet) WHERE {alive('VectorSet', 'v')}"


@travels
@dataclass(frozen=True, slots=True)
class VectorSetRecord:
    """One set."""

    id: str
    length: int
    created_at: datetime


def rows_array(name: str) -> str:
    """The array of a set's rows, float32 (n, d)."""
    return f"VectorSet/{name}/rows"


@served
def vector_sets(stores: Stores) -> list[VectorSetRecord]:
    """Every set, by name."""
    rows = stores.graph.read(
        f"{_READY} RETURN v.id AS id, v.length AS length, v.created_at AS created_at ORDER BY v.id"
    )
    return [VectorSetRecord(row["id"], int(row["length"]), row["created_at"]) for row in rows]


@served
def vector_set_of(stores: Stores, name: str) -> VectorSetRecord:
    """The set of a name.

    Raises:
        UnknownNameError: There is none; lists those there are.
    """
    found = {existing.id: existing for existing in vector_sets(stores)}
    if name not in found:
        raise UnknownNameError.of("vector set", name, found, remedy="db.vectors.add(id, images, vectors) makes one.")
    return found[name]


def rows_of(stores: Stores, name: str) -> SegmentedArray:
    """The stored rows."""
    return SegmentedArray(stores.arrays, segments_of(stores, rows_array(name)))


def add_vectors(
    stores: Stores, name: str, keys: Keys, rows: NDArray[Any], *, replace: bool = False, progress: bool = True
) -> int:
    """Store vectors under a name, in segments: repeat an interrupted call, and it continues where it stopped.

    Args:
        stores: The open workspace.
        name: Name of the set, which is created if there is none.
        keys: The images (n,), each once.
        rows: Their vectors (n, d), as float32.
        replace: Replace the vectors of images that already have another one.
        progress: Show a progress bar.

    Returns:
        How many were added or replaced.

    Raises:
        ShapeError: The shapes do not fit, or a vector holds NaN or infinity.
        ConflictError: An image has another vector already.
    """
    _check(name, keys, rows)
    _create(stores, name, rows.shape[1])
    with leases.acquire(stores.graph, LABEL, name) as lease:
        stored = rows_of(stores, name)
        known = ~np.isin(keys, stored.missing(keys))
        changed = _changed(stored, keys, rows, known)
        if len(changed) and not replace:
            raise ConflictError(
                f"{len(changed)} images have another vector in {name!r} already, the first of key "
                f"{keys[changed[0]]}: give replace=True, or add them under another name."
            )
        fresh = np.concatenate([np.flatnonzero(~known), changed])
        step = max(1, _BYTES // (rows.shape[1] * 4))
        with progress_bar(f"vectors {name}", len(fresh), show=progress) as done:
            for start in range(0, len(fresh), step):
                part = fresh[start : start + step]
                _write(stores, lease, name, keys[part], np.asarray(rows[part], np.float32), swap=len(changed) > 0)
                done(len(part))
        _finish(stores, lease, name)
    return len(fresh)


def delete_vectors(stores: Stores, name: str) -> None:
    """Delete a set; its files become garbage."""
    vector_set_of(stores, name)

    def delete(tx: Transaction) -> None:
        lease.check(tx)
        tx.run("MATCH (s:Segment {array: $array}) DETACH DELETE s", {"array": rows_array(name)})
        tx.run("MATCH (x:VectorIndex)-[:DERIVED_FROM]->(:VectorSet {id: $id}) DETACH DELETE x", {"id": name})
        tx.run("MATCH (v:VectorSet {id: $id}) DETACH DELETE v", {"id": name})
        creations.forget(tx, LABEL, name)

    with leases.acquire(stores.graph, LABEL, name) as lease:
        stores.graph.execute(delete)


def _check(name: str, keys: Keys, rows: NDArray[Any]) -> None:
    if not isinstance(name, str) or not name or "/" in name or len(name) > 200:
        raise QueryError(
            f"The name of a vector set is a text without '/', of at most 200 characters, not {name!r:.80}."
        )
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.shape[1]:
        raise ShapeError(f"Vectors are numbers of shape (n, d), not {rows.dtype} of shape {rows.shape}.")
    if len(rows) != len(keys):
        raise ShapeError(f"There are {len(keys)} images and {len(rows)} vectors: give one vector for each image.")
    if len(np.unique(keys)) != len(keys):
        first = keys[np.flatnonzero(np.bincount(np.unique(keys, return_inverse=True)[1]) > 1)[0]]
        raise ShapeError(f"An image is given twice, for example the image with key {first}: give one vector for each.")
    if np.ma.is_masked(rows):
        raise ShapeError("Numbers of the vectors are masked, which is not stored: give numbers for them.")
    with np.errstate(over="ignore"):
        wide = np.abs(np.asarray(rows, np.float32)) < 1e18
    if not wide.all():
        first = int(np.flatnonzero(~wide.all(axis=1))[0])
        raise ShapeError(f"Row {first} contains NaN, infinity or a number beyond 1e18, which has no neighbors.")


def _create(stores: Stores, name: str, length: int) -> None:
    row = {"id": name, "state": "building", "length": length, "created_at": now()}

    def make(tx: Transaction) -> int:
        found = tx.run("MATCH (v:VectorSet {id: $id}) RETURN v.length AS length", {"id": name})
        if not found:
            tx.run("CREATE (v:VectorSet) SET v = $row", {"row": row})
            creations.record(tx, LABEL, name)
        return int(found[0]["length"]) if found else length

    try:
        stored = stores.graph.execute(make)
    except ConflictError:  # another process made it a moment ago
        stored = stores.graph.execute(make)
    if stored != length:
        raise ShapeError(
            f"The vectors of {name!r} have {stored} numbers, these have {length}: add them under another name."
        )


def _changed(stored: SegmentedArray, keys: Keys, rows: NDArray[Any], known: NDArray[np.bool_]) -> Keys:
    """Positions of the vectors that differ from the stored ones."""
    at = np.flatnonzero(known)
    if not len(at):
        return at
    same = (stored.read(keys[at]) == np.asarray(rows[at], np.float32)).all(axis=1)
    changed: Keys = at[~same]
    return changed


def _write(stores: Stores, lease: Lease, name: str, keys: Keys, rows: NDArray[np.float32], *, swap: bool) -> None:
    """Write a segment and name it in the graph; if it replaces rows, all segments are swapped in one transaction."""
    segment = stores.arrays.write_dense(rows_array(name), keys, rows)
    if swap and (old := segments_of(stores, rows_array(name))):
        merged = compact(stores.arrays, [*old, segment])
        discard(stores, [segment] if segment not in merged else [])
        swap_segments(stores, old, merged)
        return
    name_leased(stores, lease, [segment])


def _finish(stores: Stores, lease: Lease, name: str) -> None:
    segments: list[SegmentInfo] = segments_of(stores, rows_array(name))
    if len(segments) > MANY:
        swap_segments(stores, segments, compact(stores.arrays, segments))

    def ready(tx: Transaction) -> None:
        lease.check(tx)
        tx.run("MATCH (v:VectorSet {id: $id}) SET v.state = 'ready', v.rows = $rows", {"id": name, "rows": rows})

    rows = len(rows_of(stores, name).coverage())
    stores.graph.execute(ready)
