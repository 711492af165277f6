"""Undelete: remove tombstones, so that readers show the things again as they were. Not possible after a purge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from odin_graph.catalog.records.restored_values import fit_types
from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE, Touched
from odin_graph.graph.kinds import kind_of, kinds_of
from odin_graph.graph.writer import BATCH, batches
from odin_graph.schema.kinds import KINDS, Kind, key_of, undeleted
from odin_graph.stores import Stores

_SHOWN: Final = 5

_TOMBSTONES: Final = """
UNWIND $things AS thing MATCH (n:{label} {{{by}: thing}})
OPTIONAL MATCH (n)-[:INVALIDATED_BY]->(x:Deletion)
RETURN thing, n.id AS id, n.deleted AS deleted, x.id AS deletion, x.state AS state
"""
_REUSED: Final = """
UNWIND $ids AS id MATCH (n:{label} {{id: id}}) WHERE {alive} RETURN id
"""
_RESTORE: Final = """
UNWIND $rows AS r MATCH (n:{label} {{{by}: r.thing}})-[e:INVALIDATED_BY]->(x:Deletion {{id: r.deletion}})
WITH n, e, e.was AS was DELETE e SET n.deleted = null{state} RETURN count(n) AS n
"""
_EMPTY: Final = """
UNWIND $ids AS id MATCH (x:Deletion {id: id})
WHERE NOT (x)<-[:INVALIDATED_BY]-() AND (x.files IS NULL OR size(x.files) = 0) DETACH DELETE x
"""
# Slices and frames are deleted just before their stack, in the same call: by the latest such deletion.
_SLICES: Final = """
MATCH (t:{label} {{id: $thing}})-[:INVALIDATED_BY]->(s:Deletion)
MATCH (t)<-[:HAS_ROOT]-(i:Image) MATCH (i)-[:INVALIDATED_BY]->(x:Deletion)
WHERE x.state IS NULL AND x.at <= s.at AND x.who = s.who AND coalesce(x.why, '') = coalesce(s.why, '')
RETURN i.key AS key, x.id AS deletion, x.at AS at ORDER BY at DESC
"""


@dataclass(frozen=True)
class UndeletionReport:
    """What is shown again."""

    restored: dict[str, int]
    """How many of each kind, parts that came with them included."""
    converted: dict[str, int] = field(default_factory=dict)
    """By field (``Image.age``), how many values were converted to the type that it has by now."""

    def __str__(self) -> str:
        """One line."""
        counts = ", ".join(f"{number:,} {label}" for label, number in self.restored.items() if number)
        if not counts:
            return "Nothing was deleted, so there is nothing to restore."
        types = ", ".join(f"{number:,} of {name}" for name, number in self.converted.items())
        return f"Restored: {counts}." + (f" Values converted to the type of today: {types}." if types else "")


def undelete(stores: Stores, label: str, things: Sequence[Any]) -> UndeletionReport:
    """Remove the tombstones of things, in one transaction: of all of them, or of none.

    Checkpoints and predictions that were deleted with an experiment are restored with it, as are the slices of a volume
    and the frames of a video. Activations are computed again when they are needed. Metadata whose field has another
    type now is converted, if no digit is lost.

    Args:
        stores: The open workspace.
        label: The kind of the things, a deletable one.
        things: The keys of images, the ids of the others. Things that are not deleted stay as they are.

    Raises:
        UnknownNameError: No such things.
        ConflictError: They were purged, something else has their id now, what they belong to is deleted, or values do
            not fit the current type of their field.
        QueryError: The kind cannot be restored, since it is computed again.
    """
    kind = kind_of(stores.graph, label)
    if kind.computed or not kind.deletable:
        raise QueryError(
            f"A deleted {label} does not come back: its files are gone, and it is computed again when it is asked for."
        )
    listed = list(dict.fromkeys(things))

    def restore(tx: Transaction) -> UndeletionReport:
        kinds = kinds_of(tx)
        rows = _tombstones(tx, label, listed)
        slices = _slices(tx, label, rows) if label in ("Video", "Volume") else []
        converted: dict[str, int] = {}
        counts = {label: _restore(tx, kind, rows, converted)}
        for part, pattern in kind.parts.items():
            if KINDS[part].computed:
                continue
            parts = _parts(tx, label, pattern, rows)
            counts[part] = _restore(tx, KINDS[part], parts, converted)
            rows += parts
        if slices:
            counts["Image"] = _restore(tx, KINDS["Image"], slices, converted)
            rows += slices
        _check_wholes(tx, kind, kinds, listed)
        tx.run(_EMPTY, {"ids": sorted({row["deletion"] for row in rows})}, NO_IMAGE)
        return UndeletionReport(counts, converted)

    return stores.graph.execute(restore)


def _tombstones(tx: Transaction, label: str, things: Sequence[Any]) -> list[dict[str, Any]]:
    """One row for each deleted thing and deletion: ``thing``, ``deletion``."""
    by = key_of(label)
    rows: list[dict[str, Any]] = []
    for part in batches(things, BATCH):
        rows += [dict(row) for row in tx.run(_TOMBSTONES.format(label=label, by=by), {"things": part})]
    known = {row["thing"] for row in rows}
    if absent := [thing for thing in things if thing not in known]:
        raise UnknownNameError(
            f"{len(absent)} things to bring back do not exist, first {_listed(absent)}. Nothing was changed: correct "
            "them (of a data set give the version, pets@1). db.deletions() lists what was deleted."
        )
    deleted = [row for row in rows if row["deleted"]]
    if purged := [row["id"] for row in deleted if row["state"] is not None]:
        raise ConflictError(
            f"{len(purged)} things were purged, first {_listed(purged)}: nothing of them is left that could come back. "
            "Nothing was changed: leave them out."
        )
    reused = (
        tx.run(_REUSED.format(label=label, alive=undeleted()), {"ids": [row["id"] for row in deleted]})
        if deleted
        else []
    )
    if reused:
        raise ConflictError(
            f"{len(reused)} ids are of other things by now, first {_listed([row['id'] for row in reused])}. Nothing "
            "was changed: delete those first."
        )
    return [{"thing": row["thing"], "deletion": row["deletion"]} for row in deleted]


def _restore(tx: Transaction, kind: Kind, rows: Sequence[dict[str, Any]], converted: dict[str, int]) -> int:
    things = list(dict.fromkeys(row["thing"] for row in rows))
    if kind.metadata and things:
        fitted = fit_types(tx, kind.label, kind.key, things)
        converted |= {f"{kind.label}.{name}": number for name, number in fitted.items()}
    state = ", n.state = coalesce(was, 'ready')" if kind.ready else ""
    cypher = _RESTORE.format(label=kind.label, by=kind.key, state=state)
    for part in batches(list(rows), BATCH):
        tx.run(cypher, {"rows": part}, Touched.things(kind.label, (row["thing"] for row in part)))
    return len(things)


def _parts(tx: Transaction, label: str, pattern: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found = tx.run(
        f"UNWIND $rows AS r MATCH (t:{label} {{id: r.thing}}) MATCH {pattern} "
        f"MATCH (p)-[:INVALIDATED_BY]->(x:Deletion) WHERE x.id = r.deletion AND p.deleted = true "
        "RETURN DISTINCT p.id AS thing, x.id AS deletion",
        {"rows": list(rows)},
    )
    return [dict(row) for row in found]


def _slices(tx: Transaction, label: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for thing in {row["thing"] for row in rows}:
        slices = [dict(row) for row in tx.run(_SLICES.format(label=label), {"thing": thing})]
        found += [
            {"thing": row["key"], "deletion": row["deletion"]}
            for row in slices
            if row["deletion"] == slices[0]["deletion"]
        ]
    return found


def _check_wholes(tx: Transaction, kind: Kind, kinds: Mapping[str, Kind], things: Sequence[Any]) -> None:
    """Refuse to restore what belongs to something that is deleted."""
    for link in (link for link in kind.links.values() if link.whole):
        rows = tx.run(
            f"UNWIND $things AS thing MATCH (i:{kind.label} {{id: thing}}) MATCH {link.pattern} WHERE x.deleted = true "
            "RETURN DISTINCT x.id AS id",
            {"things": list(things)},
        )
        if rows:
            raise ConflictError(
                f"{kind.label} {_listed(list(things))} is of the {kinds[link.to].word} {rows[0]['id']!r}, which is "
                f"deleted. Nothing was changed: bring that back first, its parts come with it."
            )


def _listed(things: Sequence[Any]) -> str:
    return ", ".join(map(repr, things[:_SHOWN]))
