"""Lineage: every edge that a node was made with is there, and every image has the root that its lineage leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.records.origins import LABELS, Origin, draw
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_HELD = """
MATCH (n:{label}) WHERE n.odin_origins IS NOT NULL
OPTIONAL MATCH (n)-[e]->(m)
RETURN n.id AS id, n.odin_origins AS origins, n.query AS query,
       collect(CASE WHEN m IS NULL THEN null ELSE [type(e), head(labels(m)), m.id, e.role] END) AS there
"""
# A derived image says so by its id: PARENT#name. One that came in under such an id says that it was made of nothing.
_NO_PARENT = f"""
MATCH (i:Image) WHERE {alive("Image", "i")} AND i.path IS NULL AND i.odin_origins IS NULL AND i.id CONTAINS '#'
AND NOT EXISTS {{ MATCH (i)-[:DERIVED_FROM|REVISION_OF]->() }}
RETURN i.id AS id
"""
_THERE = "UNWIND $ids AS id MATCH (p:Image {id: id}) RETURN p.id AS id"
_NO_DERIVATION = f"""
MATCH (i:Image)-[:HAS_ROOT]->() WHERE {alive("Image", "i")}
AND NOT EXISTS {{ MATCH (i)-[:DERIVED_FROM|REVISION_OF]->() }} RETURN i.id AS id
"""
_ROOTS = f"""
MATCH (i:Image)-[:DERIVED_FROM|REVISION_OF]->(p) WHERE {alive("Image", "i")}
OPTIONAL MATCH (p)-[:HAS_ROOT]->(q)
WITH i, collect(DISTINCT coalesce(q, p)) AS expected
OPTIONAL MATCH (i)-[:HAS_ROOT]->(r)
WITH i, expected, collect(r) AS roots
WHERE size(roots) <> 1
   OR NOT any(e IN expected WHERE e.id = roots[0].id AND labels(e) = labels(roots[0]))
RETURN i.id AS id, i.key AS key, head([l IN labels(expected[0]) WHERE l <> 'Crop']) AS label, expected[0].id AS root
"""
"""Of several parents, which another client drew, the root is that of one of them."""
_RESTORE = "Restore the graph from a backup, and look for a client that deletes edges."
_REPAIR = "`odin doctor --repair` draws it again; look for a client that deletes edges."


def check_origins(stores: Stores) -> Iterator[Fault]:
    """What a node says that it came from is what its edges lead to."""
    for label in LABELS:
        for row in stores.graph.read(_HELD.format(label=label)):
            there = [tuple(end) for end in row["there"]]
            for text in row["origins"]:
                thing = f"{_spaced(label)} {row['id']!r}"
                try:
                    origin = Origin.parse(text)
                except (ValueError, TypeError):
                    yield Fault(thing, f"What it came from cannot be read: {text!r:.80}.", _RESTORE)
                    continue
                if (origin.edge, origin.label, origin.id, origin.role) not in there:
                    yield _lost(stores, label, row, origin)


def check_sets(stores: Stores) -> Iterator[Fault]:
    """What was computed with weights says with which."""
    for label in ("ActivationSet", "AttributionSet"):
        rows = stores.graph.read(
            f"MATCH (s:{label} {{state: 'ready'}}) WHERE NOT EXISTS {{ MATCH (s)-[:DERIVED_FROM]->(:Checkpoint) }} "
            "RETURN s.id AS id"
        )
        for row in rows:
            yield Fault(
                f"{label} {row['id']!r}",
                "The checkpoint that it was computed with is gone, or the edge DERIVED_FROM to it.",
                _RESTORE,
            )


def _spaced(label: str) -> str:
    """A label as words: ``prediction set``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower().replace("dataset", "data set")


def _lost(stores: Stores, label: str, row: dict[str, Any], origin: Origin) -> Fault:
    thing, what = f"{_spaced(label)} {row['id']!r}", f"{_spaced(origin.label)} {origin.id!r}"
    known = stores.graph.read(f"MATCH (n:{origin.label} {{id: $id}}) RETURN n.id AS id", {"id": origin.id})
    if not known:
        return Fault(thing, f"It was made from {what}, which is no longer in the graph.", _RESTORE)

    def mend() -> str:
        properties = {"DERIVED_FROM": {"query": row["query"]}}
        stores.graph.execute(lambda tx: draw(tx, label, row["id"], [origin], properties))
        return f"{thing}: the edge {origin.edge} to {what} was drawn again."

    return Fault(thing, f"Its edge {origin.edge} to {what} is missing.", _REPAIR, mend)


def check_roots(stores: Stores) -> Iterator[Fault]:
    """A derived or revised image has its parent and the root of its parent, and no other image has a root."""
    for lost, reason in (
        (_orphans(stores), "have lost the edge DERIVED_FROM to what they were made of"),
        (
            [row["id"] for row in stores.graph.read(_NO_DERIVATION)],
            "have a root, and no edge DERIVED_FROM or REVISION_OF that leads to it",
        ),
    ):
        if lost:
            yield Fault("images", f"{len(lost)} {reason}, first {shown(map(repr, lost))}.", _RESTORE)
    rows = stores.graph.read(_ROOTS)
    if rows:
        ids = [repr(row["id"]) for row in rows]
        yield Fault(
            "images",
            f"{len(rows)} have another root than their lineage leads to, or none, first {shown(ids)}.",
            "`odin doctor --repair` follows their lineage again; look for a client that deletes edges.",
            partial(_reroot, stores, rows),
        )


def _orphans(stores: Stores) -> list[str]:
    """Images that are named after a parent which is there, and have no edge to it."""
    parents = {row["id"]: row["id"].rpartition("#")[0] for row in stores.graph.read(_NO_PARENT)}
    there: set[str] = set()
    for some in batches(sorted(set(parents.values()))):
        there |= {row["id"] for row in stores.graph.read(_THERE, {"ids": some})}
    return [id_ for id_, parent in parents.items() if parent in there]


def _reroot(stores: Stores, rows: list[dict[str, Any]]) -> str:
    for label in sorted({row["label"] for row in rows}):
        for some in batches([row for row in rows if row["label"] == label]):
            ends = [{"id": row["id"], "root": row["root"]} for row in some]
            stores.graph.write("UNWIND $rows AS r MATCH (i:Image {id: r.id})-[e:HAS_ROOT]->() DELETE e", {"rows": ends})
            stores.graph.write(
                f"UNWIND $rows AS r MATCH (i:Image {{id: r.id}}) MATCH (t:{label} {{id: r.root}}) "
                "CREATE (i)-[:HAS_ROOT]->(t)",
                {"rows": ends},
            )
    return f"The root of {len(rows)} images was set again by their lineage."
