"""Roots: the original of an image, along HAS_ROOT and REVISION_OF, stored as an edge to make a leak check a join."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches, create_edges
from odin_graph.stores import Stores

Root: TypeAlias = tuple[str, str, Any]
"""The label of the root, the property to find it by, and the value of that property."""

_ROOTS: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:HAS_ROOT|REVISION_OF*1..]->(r)
WHERE NOT (r)-[:HAS_ROOT|REVISION_OF]->()
RETURN DISTINCT key, r.key AS root, r.id AS id, labels(r) AS labels
"""


def roots_of(stores: Stores, keys: Sequence[int]) -> dict[int, Root]:
    """The roots of the images that are not roots themselves."""
    return roots_by(stores.graph.read, keys)


def roots_by(read: Callable[[str, dict[str, Any]], list[dict[str, Any]]], keys: Sequence[int]) -> dict[int, Root]:
    """Like `roots_of`, but inside a transaction, so that its own new edges are followed too."""
    roots: dict[int, Root] = {}
    for part in batches(keys):
        for row in read(_ROOTS, {"keys": part}):
            if row["root"] is not None:
                roots[row["key"]] = ("Image", "key", row["root"])
            else:
                kind = next(label for label in ("Volume", "Video") if label in row["labels"])
                roots[row["key"]] = (kind, "id", row["id"])
    return roots


def give_roots(tx: Transaction, made_of: Iterable[tuple[int, int]], roots: Mapping[int, Root]) -> None:
    """Create the HAS_ROOT edges of new images.

    Args:
        tx: The transaction that makes them.
        made_of: The key of each new image, and of the image that it is derived from or a revision of.
        roots: The result of `roots_of` for the latter.
    """
    ends: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, before in made_of:
        label, by, root = roots.get(before, ("Image", "key", before))
        ends.setdefault((label, by), []).append({"start": key, "end": root})
    for end, rows in ends.items():
        create_edges(tx, "HAS_ROOT", ("Image", "key"), end, rows)
