"""What was deleted, read from the (:Deletion) nodes: the cost depends on the deletions, not on the graph size."""

from __future__ import annotations

from typing import Any, Final

from odin_graph.graph.member_chunks import versions_with
from odin_graph.schema.metadata import decode
from odin_graph.served import served
from odin_graph.stores import Stores

# One clause a step, so that ArcadeDB starts at the deletions, which are few.
_IMAGES: Final = """
MATCH (x:Deletion) MATCH (x)<-[:INVALIDATED_BY]-(i:Image) WHERE i.deleted = true
RETURN DISTINCT i.key AS key, i.id AS id
"""
_ALL: Final = """
MATCH (x:Deletion) MATCH (x)<-[:INVALIDATED_BY]-(n)
RETURN labels(n) AS labels, n.id AS id, x.at AS at, x.who AS who, x.why AS why, x.state AS state, x.id AS deletion
"""
_OF_ID: Final = """
MATCH (i:Image {id: $id}) MATCH (i)-[:INVALIDATED_BY]->(x:Deletion)
RETURN x.at AS at, x.who AS who, x.why AS why, x.state AS state ORDER BY x.at DESC LIMIT 1
"""
_SHOWN_AS: Final = "Image"


@served
def deleted_members(stores: Stores, dataset: str) -> dict[int, str]:
    """The members of a version that were deleted since it was frozen: their ids by key."""
    ids = {row["key"]: row["id"] for row in stores.graph.read(_IMAGES)}

    def read(text: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        return stores.graph.read(text, {**params, "dataset": dataset})

    return {key: ids[key] for keys in versions_with(read, ids, "d.id = $dataset").values() for key in keys.tolist()}


def deletion_message(stores: Stores, id: str) -> str:  # noqa: A002 - the users' word for it
    """A message when, by whom and why an image was deleted, and whether it can be restored; empty if it was not."""
    rows = stores.graph.read(_OF_ID, {"id": id})
    if not rows:
        return ""
    row = rows[0]
    done = "purged" if row["state"] == "purged" else "deleted"
    why = f": {row['why']}" if row["why"] else ""
    back = "" if done == "purged" else f" db.images.undelete({id!r}) brings it back."
    at = f"{decode(row['at']):%Y-%m-%d %H:%M} UTC"
    return f"The image {id!r} was {done} by {row['who']} at {at}{why}. db.deletions() lists what was deleted.{back}"


@served
def deletions(stores: Stores) -> list[dict[str, Any]]:
    """Every tombstone, oldest first: kind, id, at (UTC), who, why, and whether it was purged."""
    entries: list[dict[str, Any]] = []
    for rows in stores.graph.stream(_ALL):
        for row in rows:
            kind = _SHOWN_AS if _SHOWN_AS in row["labels"] else row["labels"][0]
            entry = {"kind": kind, "id": row["id"], "at": decode(row["at"]), "who": row["who"], "why": row["why"]}
            entries.append({**entry, "purged": row["state"] == "purged"})
    return sorted(entries, key=lambda row: (row["at"], row["kind"], row["id"]))
