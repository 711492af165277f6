"""Roots: what an image began as, along HAS_ROOT and REVISION_OF, kept as an edge so that a leak check is a join."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches, create_edges
from odin_graph.stores import Stores

Root: TypeAlias = tuple[str, str, Any]
"""Its label, the property to find it by, and that property's value."""

_ROOTS: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:HAS_ROOT|REVISION_OF*1..]->(r)
WHERE NOT (r)-[:HAS_ROOT|REVISION_OF]->()
RETURN DISTINCT key, r.key AS root, r.id AS id, labels(r) AS labels
"""


def roots_of(stores: Stores, keys: Sequence[int]) -> dict[int, Root]:
    """The roots of those images that are no roots themselves."""
    return roots_by(stores.graph.read, keys)


def roots_by(read: Callable[[str, dict[str, Any]], list[dict[str, Any]]], keys: Sequence[int]) -> dict[int, Root]:
    """As `roots_of`, read in a transaction: its own edges are followed too."""
    found: dict[int, Root] = {}
    for part in batches(keys):
        for row in read(_ROOTS, {"keys": part}):
            if row["root"] is not None:
                found[row["key"]] = ("Image", "key", row["root"])
            else:
                kind = next(label for label in ("Volume", "Video") if label in row["labels"])
                found[row["key"]] = (kind, "id", row["id"])
    return found


def give_roots(tx: Transaction, made_of: Iterable[tuple[int, int]], roots: Mapping[int, Root]) -> None:
    """Name the roots of new images.

    Args:
        tx: The transaction that makes them.
        made_of: The key of each, and the key of what it was derived from or is a revision of.
        roots: Of `roots_of` the latter.
    """
    ends: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, before in made_of:
        label, by, root = roots.get(before, ("Image", "key", before))
        ends.setdefault((label, by), []).append({"start": key, "end": root})
    for end, rows in ends.items():
        create_edges(tx, "HAS_ROOT", ("Image", "key"), end, rows)
