"""Find which images of a batch are new, by id and digest, and resolve conflicts as the user wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ConflictError
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

OnConflict: TypeAlias = Literal["error", "skip", "revise", "update"]

_STORED = """
UNWIND $ids AS id MATCH (i:Image {id: id})
RETURN i.id AS id, i.key AS key, i.digest AS digest, i.deleted AS deleted
"""
# One list arrives several times faster than many records.
_KEYS = f"""
UNWIND $ids AS id MATCH (i:Image {{id: id}}) WHERE {alive("Image", "i")} RETURN collect([id, i.key]) AS keys
"""
_REVISIONS = """
UNWIND $ids AS id MATCH (i:Image {id: id})<-[:REVISION_OF*1..]-(r:Image)
RETURN id, r.id AS revision, r.key AS key, r.digest AS digest, r.deleted AS deleted
"""


@dataclass(frozen=True, slots=True)
class Version:
    """A stored image, or a revision of it."""

    id: str
    key: int
    digest: str | None
    """None for a deleted image, which no longer has pixels."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """The new and the existing images of a batch."""

    keys: NDArray[np.int64]
    """The key of each image; 0 for a new one."""
    new: list[int]
    """Positions of the images to store, revisions among them."""
    before: dict[int, Version] = field(default_factory=dict)
    """For each revision, by position: the version before it."""
    others: list[int] = field(default_factory=list)
    """Positions of the images that are skipped since their id has other pixels."""
    deleted: list[int] = field(default_factory=list)
    """Positions of the images that are skipped since they were deleted before."""

    @classmethod
    def all_new(cls, number: int) -> Self:
        """A batch of which no image exists."""
        return cls(np.zeros(number, np.int64), list(range(number)))

    def id_of(self, position: int, given: str) -> str:
        """The id of a new image: its own, or that of the next version."""
        if (before := self.before.get(position)) is None:
            return given
        base, _, number = before.id.rpartition("@")
        return f"{base}@{int(number) + 1}" if before.id != given else f"{given}@2"


def deduplicate(stores: Stores, ids: Sequence[str], digests: Sequence[str], on_conflict: OnConflict) -> Arrivals:
    """Compare a batch with what is stored, in one query.

    Raises:
        ConflictError: Ids exist with other pixels, and ``on_conflict`` makes that an error.
    """
    known = _versions(stores, ids, digests)
    arrivals = Arrivals(np.zeros(len(ids), np.int64), [])
    refused: list[str] = []
    deleted: list[str] = []
    for position, (id_, digest) in enumerate(zip(ids, digests, strict=True)):
        versions = known.get(id_)
        if versions is None:
            arrivals.new.append(position)
        elif same := [version for version in versions if version.digest == digest]:
            arrivals.keys[position] = same[0].key
        elif on_conflict == "skip":
            arrivals.keys[position] = versions[-1].key
            (arrivals.deleted if versions[-1].digest is None else arrivals.others).append(position)
        elif on_conflict == "revise" or (on_conflict == "update" and versions[-1].digest is not None):
            arrivals.before[position] = versions[-1]
            arrivals.new.append(position)
        else:
            (deleted if versions[-1].digest is None else refused).append(id_)
    if deleted:
        raise _deleted(deleted)
    if refused:
        raise _conflict(refused)
    return arrivals


def stored_keys(stores: Stores, ids: Sequence[str]) -> dict[str, int]:
    """The keys of the ids that belong to an image that is not deleted."""
    keys: dict[str, int] = {}
    for part in batches(ids):
        keys.update(stores.graph.read(_KEYS, {"ids": part})[0]["keys"])
    return keys


def _versions(stores: Stores, ids: Sequence[str], digests: Sequence[str]) -> dict[str, list[Version]]:
    """The versions of each known id, oldest first. Revisions are only looked up if the pixels differ."""
    rows = stores.graph.read(_STORED, {"ids": list(ids)})
    found = {row["id"]: [Version(row["id"], row["key"], _digest(row))] for row in rows}
    differ = [id_ for id_, digest in zip(ids, digests, strict=True) if id_ in found and found[id_][0].digest != digest]
    if differ:
        for row in stores.graph.read(_REVISIONS, {"ids": differ}):
            found[row["id"]].append(Version(row["revision"], row["key"], _digest(row)))
        for versions in found.values():
            versions[1:] = sorted(versions[1:], key=lambda version: int(version.id.rpartition("@")[2]))
    return found


def _digest(row: Mapping[str, Any]) -> str | None:
    return None if row["deleted"] else row["digest"]


def _deleted(ids: Sequence[str]) -> ConflictError:
    listed = ", ".join(repr(id_) for id_ in ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ConflictError(
        f"Deleted before: {listed}{more}. What was deleted does not come back unasked: leave these images out, or say "
        'what to do: on_conflict="skip" leaves them deleted, "revise" stores them as next versions.'
    )


def _conflict(ids: Sequence[str]) -> ConflictError:
    listed = ", ".join(repr(id_) for id_ in ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ConflictError(
        f"Stored already with other pixels: {listed}{more}. Give the new images other ids, or say what to do: "
        'on_conflict="skip" keeps the old ones, "revise" stores the new ones as their next versions.'
    )
