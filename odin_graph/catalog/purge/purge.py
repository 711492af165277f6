"""Purge: destroy the pixels of images and all that was computed from them, and report what cannot be destroyed.

A (:Deletion) in state ``purging`` gathers the images and the URIs of replaced files, so that the next purge continues
an interrupted one. The tombstones stay, without metadata.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.names import fresh_name
from odin_graph.catalog.datasets.datasets import members_array
from odin_graph.catalog.images.images import as_keys
from odin_graph.catalog.purge.purge_arrays import affected, replace_segments
from odin_graph.catalog.purge.purge_files import remove_caches, remove_replaced, sweep
from odin_graph.catalog.purge.purge_left import left_behind
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.people import author
from odin_graph.catalog.records.segments import segments_of
from odin_graph.catalog.records.unfinished import PARENTS
from odin_graph.catalog.records.uses import joined, uses
from odin_graph.errors import FrozenError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE, Touched
from odin_graph.graph.member_chunks import redraw_chunks, versions_with
from odin_graph.graph.writer import batches
from odin_graph.schema.member_chunk import SPAN
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

_FEW: Final = 1_000
"""Images whose predictions are removed in one transaction."""
_DERIVED: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)<-[:DERIVED_FROM]-(d:Image) RETURN DISTINCT d.key AS key
"""
_PURGED: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:INVALIDATED_BY]->(x:Deletion) WHERE x.state IS NOT NULL
RETURN collect(DISTINCT key) AS keys
"""
_MARK: Final = """
MATCH (x:Deletion {id: $deletion}) UNWIND $keys AS key MATCH (n:Image {key: key})
SET n.deleted = true CREATE (n)-[:INVALIDATED_BY]->(x)
"""
_PREDICTIONS: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)<-[:OF]-(p:Prediction) DETACH DELETE p RETURN count(p) AS n
"""
_CORRECTED: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)<-[:OF]-(c:LabelChange) DETACH DELETE c RETURN count(c) AS n
"""

_FROZEN: Final = "UNWIND $keys AS key MATCH (:Image {key: key})<-[m:HAD_MEMBER]-(:Dataset) SET m.label = null"
"""Their labels in arrays are gone by then; chunks are drawn again from these."""


@dataclass(frozen=True)
class PurgeReport:
    """What a purge destroyed, and what it could not."""

    images: tuple[str, ...] = ()
    """The ids of all purged images, including derived ones."""
    derived: tuple[str, ...] = ()
    """The images that were made from the images of the call, and were purged with them."""
    destroyed: dict[str, int] = field(default_factory=dict)
    """The number of destroyed rows, nodes and files of each kind."""
    left: tuple[str, ...] = ()
    """What could not be destroyed, each in a sentence."""
    used: tuple[str, ...] = ()
    """With ``force``: the frozen things that contained them."""
    dry_run: bool = False

    def __str__(self) -> str:
        """The report, in lines."""
        done = "Would purge" if self.dry_run else "Purged"
        destroyed = [f"{number:,} {what}" for what, number in sorted(self.destroyed.items()) if number]
        if destroyed and not self.images:  # things of a kind that a package adds
            return f"{done} {', '.join(destroyed)}." + (f" Still used: {joined(self.used)}." if self.used else "")
        lines = [
            f"{done} {len(self.images):,} images" + (f", {len(self.derived):,} of them derived" * bool(self.derived))
        ]
        lines += [f"- {line}" for line in destroyed]
        if self.used:
            what = "It" if len(self.images) == 1 else "Of them"
            lines.append(f"{what} {joined(self.used)}: what is frozen keeps its digest, and reports what is missing.")
        lines += [f"Left: {sentence}" for sentence in self.left]
        return "\n".join(lines)

    __repr__ = __str__


def purge(
    stores: Stores,
    keys: NDArray[np.int64],
    *,
    why: str | None = None,
    who: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> PurgeReport:
    """Destroy images: pixels, originals, activations, predictions, metadata, labels, indexes and caches.

    Images derived from them are purged too. Their tombstones stay, with id and key alone. Data set versions that
    contained them keep their digest, order and length, without the label. Any later call continues an interrupted one.

    Args:
        stores: The open workspace.
        keys: The images, also deleted ones.
        why: The reason, kept on the tombstone.
        who: Who purges; by default the login name of the user.
        force: Also purge images in a data set version.
        dry_run: Only report what would be destroyed, and what could not be.

    Raises:
        FrozenError: A data set version contains them; says which.
        ConflictError: Another process purges, or builds something that may contain them.
        UnknownNameError: No such images.
    """
    requested = np.unique(np.asarray(keys, np.int64))
    ids = _ids(stores, requested)
    if absent := sorted(set(requested.tolist()) - set(ids)):
        raise UnknownNameError(f"No image has the key {', '.join(map(str, absent[:5]))}: nothing was purged.")
    targets = _with_derived(stores, requested)
    ids = _ids(stores, targets)
    used = stores.graph.execute(lambda tx: uses(tx, "Image", targets.tolist()))
    if used and not force and not dry_run:
        what = "The image" if len(targets) == 1 else f"Of {len(targets):,} images (derived ones count)"
        raise FrozenError(
            f"{what} {joined(used)}. Nothing was purged. Purge anyway with force=True: the versions keep their "
            "digest, and report what is missing."
        )
    derived = tuple(ids[key] for key in targets.tolist() if key not in set(requested.tolist()))
    left = left_behind(stores, targets)
    report = PurgeReport(tuple(ids.values()), derived, left=left, used=tuple(used), dry_run=dry_run)
    if dry_run:
        return replace(report, destroyed=dict(affected(stores, targets)))
    _refuse_builders(stores)
    _begin(stores, targets, why, author(who))
    destroyed: Counter[str] = Counter()
    for deletion in unfinished_purges(stores):
        with leases.acquire(stores.graph, "Deletion", deletion) as lease:
            more = _continue_purge(stores, deletion, lease, destroyed)
        report = replace(report, left=(*report.left, *more))
    return replace(report, destroyed=dict(destroyed))


def unfinished_purges(stores: Stores) -> list[str]:
    """The (:Deletion) nodes of purges that are not finished, oldest first."""
    rows = stores.graph.read("MATCH (x:Deletion) WHERE x.state = 'purging' RETURN x.id AS id ORDER BY x.id")
    return [str(row["id"]) for row in rows]


def _begin(stores: Stores, keys: NDArray[np.int64], why: str | None, who: str) -> None:
    """Mark the images as deleted, so that no reader shows them. Images of an earlier purge stay with that purge."""
    row = {"deletion": fresh_name(), "at": now(), "who": who, "why": why}

    def mark(tx: Transaction) -> None:
        known: set[int] = set()
        for part in batches(keys.tolist()):
            known.update(tx.run(_PURGED, {"keys": part})[0]["keys"])
        new = [key for key in keys.tolist() if key not in known]
        if not new:
            return
        tx.run(
            "CREATE (:Deletion {id: $deletion, at: $at, who: $who, why: $why, state: 'purging', created_at: $at})", row
        )
        for part in batches(new):
            tx.run(_MARK, {"deletion": row["deletion"], "keys": part}, Touched.things("Image", part))

    stores.graph.execute(mark)


def _continue_purge(stores: Stores, deletion: str, lease: Lease, destroyed: Counter[str]) -> list[str]:
    """Run the steps of a purge, each of which may be done already. Returns what is left."""
    keys = _keys_of_deletion(stores, deletion)
    destroyed += replace_segments(stores, keys, deletion, lease)
    # Crops that were being made when the purge began. From now on there are no pixels to make any from.
    while len(late := np.setdiff1d(_with_derived(stores, keys), keys)):
        stores.graph.write(_MARK, {"deletion": deletion, "keys": late.tolist()}, Touched(late))
        keys = _keys_of_deletion(stores, deletion)
        destroyed += replace_segments(stores, keys, deletion, lease)
    _drop_indexes(stores, deletion, lease, destroyed)
    for name, cypher in (("predictions in the graph", _PREDICTIONS), ("label corrections", _CORRECTED)):
        for part in batches(keys.tolist(), _FEW):
            destroyed[name] += stores.graph.write(cypher, {"keys": part}, NO_IMAGE)[0]["n"]
    for dataset, own in versions_with(stores.graph.read, keys).items():
        if segments_of(stores, members_array(dataset)):
            redraw_chunks(stores.graph, dataset, stores.columns.members(dataset), set((own // SPAN).tolist()))
    for part in batches(keys.tolist(), _FEW):
        stores.graph.write(_FROZEN, {"keys": part}, NO_IMAGE)
        stores.graph.write(
            "UNWIND $keys AS key MATCH (i:Image {key: key}) SET i = {id: i.id, key: i.key, deleted: true}",
            {"keys": part},
            Touched.things("Image", part),
        )
    destroyed["files"] += remove_replaced(stores, deletion)
    swept, left = sweep(stores, keys)
    destroyed["files"] += swept
    remove_caches(stores)

    def finish(tx: Transaction) -> None:
        lease.check(tx)
        tx.run(
            "MATCH (x:Deletion {id: $id}) SET x.state = 'purged', x.files = null, x.images = $images",
            {"id": deletion, "images": len(keys)},
        )

    stores.graph.execute(finish)
    return left


def _keys_of_deletion(stores: Stores, deletion: str) -> NDArray[np.int64]:
    rows = stores.graph.read(
        "MATCH (x:Deletion {id: $id}) MATCH (x)<-[:INVALIDATED_BY]-(i:Image) RETURN i.key AS key", {"id": deletion}
    )
    return np.unique(np.array([row["key"] for row in rows], np.int64))


def _drop_indexes(stores: Stores, deletion: str, lease: Lease, destroyed: Counter[str]) -> None:
    """Drop all indexes: each has vectors of many images, and is rebuilt when it is needed."""

    def drop(tx: Transaction) -> int:
        lease.check(tx)
        rows = tx.run("MATCH (v:VectorIndex) WHERE v.uris IS NOT NULL UNWIND v.uris AS uri RETURN uri")
        if rows:
            tx.run(
                "MATCH (x:Deletion {id: $id}) SET x.files = coalesce(x.files, []) + $uris",
                {"id": deletion, "uris": [row["uri"] for row in rows]},
            )
            tx.run("MATCH (v:VectorIndex) DETACH DELETE v")
        return len(rows)

    destroyed["indexes"] += stores.graph.execute(drop)


def _with_derived(stores: Stores, keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The images and all images derived from them, in any number of steps."""
    known, new = set(keys.tolist()), keys.tolist()
    while new:
        found: set[int] = set()
        for part in batches(new):
            found.update(row["key"] for row in stores.graph.read(_DERIVED, {"keys": part}))
        new = sorted(found - known)
        known.update(new)
    return np.array(sorted(known), np.int64)


def _ids(stores: Stores, keys: NDArray[np.int64]) -> dict[int, str]:
    found: dict[int, str] = {}
    for part in batches(keys.tolist()):
        rows = stores.graph.read(
            "UNWIND $keys AS key MATCH (i:Image {key: key}) RETURN i.key AS key, i.id AS id", {"keys": part}
        )
        found.update((row["key"], row["id"]) for row in rows)
    return dict(sorted(found.items()))


def _refuse_builders(stores: Stores) -> None:
    """Refuse while a live process builds something, which could later contain the images."""
    for label in PARENTS:
        for row in stores.graph.read(f"MATCH (n:{label} {{state: 'building'}}) RETURN n.id AS id, {leases.FIELDS}"):
            if (holder := leases.of_row(row)) is not None and holder.live:
                raise leases.busy(label, row["id"], holder)


def keys_of_any(stores: Stores, images: Sequence[Any]) -> NDArray[np.int64]:
    """The keys of images, given as objects, ids or keys, also of deleted images.

    Raises:
        UnknownNameError: Unknown ids.
    """
    ids = [image for image in images if isinstance(image, str)]
    by_id: dict[str, int] = {}
    for part in batches(ids):
        rows = stores.graph.read(
            "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN i.id AS id, i.key AS key", {"ids": part}
        )
        by_id.update((row["id"], row["key"]) for row in rows)
    if absent := [id_ for id_ in ids if id_ not in by_id]:
        raise UnknownNameError(
            f"{len(absent)} ids do not exist, first {', '.join(map(repr, absent[:5]))}: correct them."
        )
    return as_keys(images, by_id)
