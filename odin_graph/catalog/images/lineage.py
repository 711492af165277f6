"""Walk along lineage: what an image was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import pyarrow as pa

from odin_graph.errors import QueryError
from odin_graph.graph.kinds import kind_of
from odin_graph.graph.member_chunks import versions_with
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import Kind, alive
from odin_graph.served import served
from odin_graph.stores import Stores

Direction = Literal["ancestors", "descendants"]

SCHEMA: Final = pa.schema(
    [
        ("depth", pa.int64()),
        ("kind", pa.string()),
        ("id", pa.string()),
        ("key", pa.int64()),
        ("op", pa.string()),
        ("params", pa.string()),
        ("next", pa.string()),
    ]
)
"""``next`` is the id of the node it was reached from, one step nearer to the start."""

_KINDS: Final = ("Volume", "Video", "Image")
"""The labels that name the kind of a node; a crop is an image."""
_STEP: Final[Mapping[Direction, str]] = {
    "ancestors": "UNWIND $keys AS key MATCH (i:Image {key: key})-[r:DERIVED_FROM|REVISION_OF]->(p) ",
    "descendants": "UNWIND $keys AS key MATCH (i:Image {key: key})<-[r:DERIVED_FROM|REVISION_OF]-(p:Image) ",
}
_PARENT_STEP: Final = "UNWIND $ids AS id MATCH (i:{kind} {{id: id}})<-[r:DERIVED_FROM]-(p:Image) "
_RETURN: Final = (
    "RETURN i.id AS next, p.id AS id, p.key AS key, labels(p) AS labels, type(r) AS type, r.op AS op, "
    "r.params AS params"
)
USERS: Final = {
    "Dataset": f"UNWIND $ids AS id MATCH (t:Dataset {{id: id}}) WHERE {alive('Dataset', 't')} RETURN t.id AS id",
    "Experiment": f"""
        UNWIND $ids AS id MATCH (d:Dataset {{id: id}})<-[:USED]-(t:Experiment) WHERE {alive("Experiment", "t")}
        RETURN DISTINCT t.id AS id""",
    "PredictionSet": f"""
        UNWIND $ids AS id MATCH (d:Dataset {{id: id}})<-[:OF]-(t:PredictionSet) WHERE {alive("PredictionSet", "t")}
        RETURN DISTINCT t.id AS id""",
}
"""By kind: what the data set versions that contain images went into."""


@served
def walk(stores: Stores, keys: Sequence[int], direction: Direction, *, revisions: bool = True) -> pa.Table:
    """Everything that can be reached from images along DERIVED_FROM and REVISION_OF, level by level.

    A level is one query, whatever its size up to 10,000 images, so that the chains of a hundred images take as many
    round trips as the chain of one.

    Args:
        stores: The open workspace.
        keys: The images to start from. They are not in the result, unless one is reached from another.
        direction: ``ancestors`` follows the arrows to causes, ``descendants`` goes against them.
        revisions: Whether to follow REVISION_OF, too.

    Returns:
        A table of `SCHEMA`, each node once, at its smallest depth, nearest first.
    """
    level = sorted({int(key) for key in keys})
    seen: set[str] = set()
    rows: list[dict[str, Any]] = []
    depth = 0
    while level:
        depth += 1
        reached: list[int] = []
        for part in batches(level):
            for row in stores.graph.read(_STEP[direction] + _RETURN, {"keys": part}):
                if row["id"] in seen or (row["type"] == "REVISION_OF" and not revisions):
                    continue
                seen.add(row["id"])
                rows.append(_row(row, depth))
                if row["key"] is not None:
                    reached.append(row["key"])
        level = reached
    return pa.Table.from_pylist(rows, SCHEMA)


@served
def derived_of(stores: Stores, kind: Literal["Volume", "Video"], ids: list[str]) -> pa.Table:
    """The images that were derived from volumes or videos, at any depth, as a table of `SCHEMA`."""
    first = stores.graph.read(_PARENT_STEP.format(kind=kind) + _RETURN, {"ids": ids})
    rows = [_row(row, 1) for row in first]
    deeper = walk(stores, [row["key"] for row in first], "descendants")
    depths = pa.array([depth + 1 for depth in deeper.column("depth").to_pylist()], pa.int64())
    return pa.concat_tables([pa.Table.from_pylist(rows, SCHEMA), deeper.set_column(0, "depth", depths)])


def _row(row: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {
        "depth": depth,
        "kind": next(kind for kind in _KINDS if kind in row["labels"]),
        "id": row["id"],
        "key": row["key"],
        "op": row["op"] if row["type"] == "DERIVED_FROM" else "revision",
        "params": row["params"],
        "next": row["next"],
    }


@served
def users_of(stores: Stores, kind: str, keys: list[int]) -> list[str]:
    """The ids of what images went into, or of things of an added kind that have a link to them, sorted.

    Raises:
        QueryError: Things of that kind use no images.
    """
    if kind in USERS:
        versions = list(versions_with(stores.graph.read, keys))
        return sorted({row["id"] for row in stores.graph.read(USERS[kind], {"ids": versions})})
    texts = _links_to_images(kind_of(stores.graph, kind))
    return sorted(
        {row["id"] for text in texts for part in batches(keys) for row in stores.graph.read(text, {"keys": part})}
    )


def _links_to_images(kind: Kind) -> list[str]:
    texts = [
        f"UNWIND $keys AS key MATCH (:Image {{key: key}})<-[:{link.edge}]-(t:{kind.label}) "
        f"WHERE {kind.alive('t')} RETURN DISTINCT t.id AS id"
        for link in kind.to_images
    ]
    if not texts:
        raise QueryError(
            "used_by() finds og.Dataset, og.Experiment, og.PredictionSet, or the name of a kind that a package adds "
            f"with a link to images, not a {kind.word}."
        )
    return texts
