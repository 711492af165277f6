"""Lineage: every edge that a node was made with exists, and every image has the root of its lineage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.catalog.records.origins import LABELS, Origin, draw
from odin_graph.graph.kinds import added_kinds
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_ORIGINS = """
MATCH (n:{label}) WHERE n.odin_origins IS NOT NULL
OPTIONAL MATCH (n)-[e]->(m)
RETURN n.id AS id, n.odin_origins AS origins, n.query AS query,
       collect(CASE WHEN m IS NULL THEN null ELSE [type(e), head(labels(m)), m.id, e.role] END) AS there
"""
# The id of a derived image is PARENT#name. An original image with such an id has an empty list of origins.
_NO_PARENT = f"""
MATCH (i:Image) WHERE {alive("Image", "i")} AND i.path IS NULL AND i.odin_origins IS NULL AND i.id CONTAINS '#'
AND NOT EXISTS {{ MATCH (i)-[:DERIVED_FROM|REVISION_OF]->() }}
RETURN i.id AS id
"""
_MADE_WITH = {
    "Checkpoint": ("GENERATED_BY", "SPECIALIZATION_OF"),
    "Dataset": ("REVISION_OF", "DERIVED_FROM"),
    "Experiment": ("USED", "INFORMED_BY"),
    "Model": ("REVISION_OF",),
    "PredictionSet": ("GENERATED_BY", "OF", "DERIVED_FROM"),
}
"""The edges that only odin_graph draws, by label."""
_EXISTING = "UNWIND $ids AS id MATCH (p:Image {id: id}) RETURN p.id AS id"
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
"""If another client added further parents, the root may be that of any of them."""
_RESTORE = "Restore the graph from a backup, and look for a client that deletes edges."
_REPAIR = "`odin doctor --repair` draws it again; look for a client that deletes edges."


def check_origins(stores: Stores) -> Iterator[Fault]:
    """Check that a node has an edge for each of its recorded origins, and no other edges of these types."""
    for label in (*LABELS, *added_kinds(stores.graph)):
        for row in stores.graph.read(_ORIGINS.format(label=label)):
            edges = [tuple(end) for end in row["there"]]
            yield from _further_edges(label, row, edges)
            for text in row["origins"]:
                thing = f"{_spaced(label)} {row['id']!r}"
                try:
                    origin = Origin.parse(text)
                except (ValueError, TypeError):
                    yield Fault(thing, f"What it came from cannot be read: {text!r:.80}.", _RESTORE)
                    continue
                if (origin.edge, origin.label, origin.id, origin.role) not in edges:
                    yield _missing_edge(stores, label, row, origin)


def _further_edges(label: str, row: dict[str, Any], edges: list[tuple[Any, ...]]) -> Iterator[Fault]:
    """Edges that another client drew. Of images they are further parents, which anybody may add."""
    further = Counter(edge for edge in edges if edge[0] in _MADE_WITH.get(label, ()))
    for text in row["origins"]:
        with suppress(ValueError, TypeError):
            origin = Origin.parse(text)
            further[origin.edge, origin.label, origin.id, origin.role] -= 1
    for type_, end, id_, _ in +further:
        yield Fault(
            f"{_spaced(label)} {row['id']!r}",
            f"It has an edge {type_} to {_spaced(str(end))} {id_!r} that it was not made with.",
            "Remove that edge, and look for a client that draws edges of ours.",
        )


def check_sets(stores: Stores) -> Iterator[Fault]:
    """Check that activations and attributions have an edge to their checkpoint."""
    for label in ("ActivationSet", "AttributionSet"):
        rows = stores.graph.read(
            f"MATCH (s:{label}) WHERE {alive(label, 's')} "
            "AND NOT EXISTS { MATCH (s)-[:DERIVED_FROM]->(:Checkpoint) } RETURN s.id AS id"
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


def _missing_edge(stores: Stores, label: str, row: dict[str, Any], origin: Origin) -> Fault:
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
    """Check that derived and revised images have a parent and its root, and that no other image has a root."""
    for affected, reason in (
        (_orphans(stores), "have lost the edge DERIVED_FROM to what they were made of"),
        (
            [row["id"] for row in stores.graph.read(_NO_DERIVATION)],
            "have a root, and no edge DERIVED_FROM or REVISION_OF that leads to it",
        ),
    ):
        if affected:
            yield Fault("images", f"{len(affected)} {reason}, first {shown(map(repr, affected))}.", _RESTORE)
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
    """Images whose id names an existing parent, but that have no edge to it."""
    parents = {row["id"]: row["id"].rpartition("#")[0] for row in stores.graph.read(_NO_PARENT)}
    existing: set[str] = set()
    for batch in batches(sorted(set(parents.values()))):
        existing |= {row["id"] for row in stores.graph.read(_EXISTING, {"ids": batch})}
    return [id_ for id_, parent in parents.items() if parent in existing]


def _reroot(stores: Stores, rows: list[dict[str, Any]]) -> str:
    for label in sorted({row["label"] for row in rows}):
        for batch in batches([row for row in rows if row["label"] == label]):
            ends = [{"id": row["id"], "root": row["root"]} for row in batch]
            stores.graph.write("UNWIND $rows AS r MATCH (i:Image {id: r.id})-[e:HAS_ROOT]->() DELETE e", {"rows": ends})
            stores.graph.write(
                f"UNWIND $rows AS r MATCH (i:Image {{id: r.id}}) MATCH (t:{label} {{id: r.root}}) "
                "CREATE (i)-[:HAS_ROOT]->(t)",
                {"rows": ends},
            )
    return f"The root of {len(rows)} images was set again by their lineage."
