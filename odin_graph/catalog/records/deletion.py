"""Delete things by tombstones, which readers hide and lineage keeps; refused while something frozen uses them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from odin_graph.arrays.names import fresh_name
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.people import author
from odin_graph.catalog.records.updates import existing
from odin_graph.catalog.records.uses import joined, uses
from odin_graph.errors import ConflictError, FrozenError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import Touched
from odin_graph.graph.kinds import kind_of
from odin_graph.graph.writer import BATCH, batches
from odin_graph.schema.kinds import KINDS, Kind, alive, key_of, undeleted
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

_BEGIN: Final = "UNWIND $things AS thing MATCH (t:{0} {{id: thing}})"
_SHOWN: Final = 5


@dataclass(frozen=True)
class DeletionReport:
    """The outcome of a deletion."""

    id: str
    """The id of the (:Deletion) node; empty if no tombstone was made."""
    deleted: dict[str, int]
    """The number of deleted things by kind, with the parts that were deleted with them."""
    used: tuple[str, ...] = ()
    """With ``force``: frozen things that still use what was deleted."""

    def __str__(self) -> str:
        """The counts, and what still uses the deleted things."""
        if not any(self.deleted.values()):
            return "Nothing was deleted: everything was deleted before."
        counts = ", ".join(f"{number:,} {label}" for label, number in self.deleted.items() if number)
        lines = [f"Deleted {counts}."]
        if self.used:
            lines.append(f"Still used by frozen things: {joined(self.used)}.")
        return "\n".join(lines)


def delete(
    stores: Stores,
    label: str,
    things: Sequence[Any],
    *,
    why: str | None = None,
    who: str | None = None,
    force: bool = False,
) -> DeletionReport:
    """Put tombstones on things, in one transaction: on all of them, or on none.

    Only activations are destroyed, which are computed again when they are needed: the nodes stay, with
    ``deleted = true`` and INVALIDATED_BY a (:Deletion). The checkpoints, predictions and activations of an experiment
    are deleted with it, and the activations of a checkpoint with the checkpoint.

    Args:
        stores: The open workspace.
        label: The kind of the things, a deletable one.
        things: The keys of images, the ids of the others.
        why: The reason, stored on the tombstone.
        who: Who deletes; by default the login name of the user.
        force: Also delete things that something frozen uses.

    Raises:
        FrozenError: Something frozen uses them; says what.
        UnknownNameError: No such things.
        QueryError: Things of that kind are not deleted.
        ConflictError: A live process is writing to one of them.
    """
    kind = kind_of(stores.graph, label)
    if not kind.deletable:
        raise QueryError(f"A {kind.word} is not deleted: its kind is not deletable.")
    listed = list(dict.fromkeys(things))
    not_deleted = existing(stores, label, listed)
    _check_known(stores, label, [thing for thing in listed if thing not in not_deleted])
    listed = [thing for thing in listed if thing in not_deleted]
    if not listed:
        return DeletionReport("", {label: 0})
    for part, ids in _leased(stores, kind, listed):
        for id_ in ids:
            if (holder := leases.holder(stores.graph, part, id_)) is not None and holder.live:
                raise leases.busy(part, id_, holder)
    row: dict[str, Any] = {"id": fresh_name(), "at": now(), "who": author(who), "why": why}

    def mark_all(tx: Transaction) -> DeletionReport:
        used = uses(tx, label, listed)
        if used and not force:
            raise _refused(kind, listed, used)
        tx.run("CREATE (:Deletion {id: $id, at: $at, who: $who, why: $why, created_at: $at})", row)
        counts = {label: _mark(tx, kind, listed, row["id"])}
        _refuse_live(tx, kind, listed)
        for part, ids in _parts(tx, kind, listed):
            counts[part] = counts.get(part, 0) + _mark(tx, KINDS[part], ids, row["id"])
            _refuse_live(tx, KINDS[part], ids)
        return DeletionReport(str(row["id"]), counts, tuple(used))

    return stores.graph.execute(mark_all)


def _mark(tx: Transaction, kind: Kind, things: Sequence[Any], deletion: str) -> int:
    """Put tombstones on the things that have none; return how many."""
    label, by = kind.label, kind.key
    state = ", n.state = 'deleted'" if kind.ready else ""
    number = 0
    for part in batches(things, BATCH):
        number += tx.run(
            f"MATCH (x:Deletion {{id: $deletion}}) UNWIND $things AS thing MATCH (n:{label} {{{by}: thing}}) "
            f"WHERE {undeleted()} WITH n, x, n.state AS was SET n.deleted = true{state} "
            "CREATE (n)-[:INVALIDATED_BY {was: was}]->(x) "
            "RETURN count(n) AS n",
            {"deletion": deletion, "things": part},
            Touched.things(label, part),
        )[0]["n"]
        if label == "ActivationSet":  # it can be computed again, so its files become garbage
            for id_ in part:
                gone = tx.run(
                    "MATCH (s:Segment) WHERE s.array STARTS WITH $prefix WITH s, s.uri AS uri DETACH DELETE s "
                    "RETURN uri",
                    {"prefix": f"ActivationSet/{id_}/"},
                )
                indexes = tx.run(
                    "MATCH (v:VectorIndex)-[:DERIVED_FROM]->(:ActivationSet {id: $id}) WITH v, v.uris AS uris "
                    "DETACH DELETE v RETURN uris",
                    {"id": id_},
                )
                uris = [row["uri"] for row in gone] + [uri for row in indexes for uri in row["uris"] or ()]
                tx.run(  # readers may continue: gc spares the files of deletions of the last hour
                    "MATCH (x:Deletion {id: $deletion}) SET x.files = coalesce(x.files, []) + $uris",
                    {"deletion": deletion, "uris": uris},
                )
    return number


def _refuse_live(tx: Transaction, kind: Kind, things: Sequence[Any]) -> None:
    """Check again under the locks of the tombstones: a process may have begun to write meanwhile."""
    if not kind.leased:
        return
    rows = tx.run(
        f"UNWIND $things AS thing MATCH (n:{kind.label} {{id: thing}}) WHERE n.lease_owner IS NOT NULL "
        f"RETURN thing, {leases.FIELDS}",
        {"things": list(things)},
    )
    for row in rows:
        if (holder := leases.of_row(row)) is not None and holder.live:
            raise leases.busy(kind.label, row["thing"], holder)


def _parts(tx: Transaction, kind: Kind, things: Sequence[Any]) -> Iterator[tuple[str, list[str]]]:
    for part, pattern in kind.parts.items():
        # A shared set is deleted with its last checkpoint. Checkpoints of this call already have their tombstone.
        last = (
            f" AND NOT EXISTS {{ MATCH (p)-[:DERIVED_FROM]->(o:Checkpoint) WHERE {alive('Checkpoint', 'o')} }}"
            if part == "ActivationSet"
            else ""
        )
        rows = tx.run(
            f"{_BEGIN.format(kind.label)} MATCH {pattern} WHERE {undeleted('p')}{last} RETURN DISTINCT p.id AS id",
            {"things": list(things)},
        )
        if rows:
            yield part, [row["id"] for row in rows]


def _leased(stores: Stores, kind: Kind, things: Sequence[Any]) -> Iterator[tuple[str, list[str]]]:
    """The nodes that a live process may be writing: the things themselves, and their parts."""
    if kind.leased:
        yield kind.label, list(things)
    for part, pattern in kind.parts.items():
        if KINDS[part].leased:
            rows = stores.graph.read(
                f"{_BEGIN.format(kind.label)} MATCH {pattern} WHERE p.lease_owner IS NOT NULL "
                "RETURN DISTINCT p.id AS id",
                {"things": list(things)},
            )
            yield part, [row["id"] for row in rows]


def _check_known(stores: Stores, label: str, absent: Sequence[Any]) -> None:
    """Refuse unknown things; already deleted ones are left as they are."""
    if not absent:
        return
    by = key_of(label)
    rows = stores.graph.read(
        f"UNWIND $things AS thing MATCH (n:{label} {{{by}: thing}}) RETURN thing", {"things": list(absent)}
    )
    known = {row["thing"] for row in rows}
    if unknown := [thing for thing in absent if thing not in known]:
        raise UnknownNameError(
            f"{len(unknown)} things to delete do not exist, first {', '.join(map(repr, unknown[:_SHOWN]))}. "
            "Nothing was deleted: correct them, or leave them out."
        )


def _refused(kind: Kind, things: Sequence[Any], used: Sequence[str]) -> FrozenError:
    if len(things) > 1:
        what = f"Of {len(things):,} {kind.plural}"
    else:
        what = "The image" if kind.label == "Image" else f"{kind.label} {things[0]!r}"
    stacks = dict.fromkeys(("Volume", "Video"), "Leave it")
    remedy = {"Image": "Make a next version without them", **stacks}.get(kind.label, "Delete those first")
    return FrozenError(
        f"{what} {joined(used)}. Nothing was deleted. {remedy}, or delete anyway with force=True: what is frozen "
        "keeps its digest, opens as before, and reports what is missing."
    )


def deletion_of(stores: Stores, label: str, id: str) -> ConflictError | None:  # noqa: A002 - the users' word for it
    """The error of using the id of a deleted thing; None if it is not deleted."""
    rows = stores.graph.read(
        f"MATCH (n:{label} {{id: $id}})-[:INVALIDATED_BY]->(x:Deletion) WHERE n.deleted = true "
        "RETURN x.at AS at, x.who AS who, x.why AS why ORDER BY x.at",
        {"id": id},
    )
    if not rows:
        return None
    reason = f": {rows[0]['why']}" if rows[0]["why"] else ""
    return ConflictError(
        f"{label} {id!r} was deleted by {rows[0]['who']} on {str(rows[0]['at'])[:10]}{reason}. Its tombstone keeps the "
        "id, so that lineage stays clear: give another id, or bring it back with undelete()."
    )
