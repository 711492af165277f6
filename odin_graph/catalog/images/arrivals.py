"""Which images of a batch are new: by id and digest, and by what the user wants of conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

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
# One list comes in several times faster than as many records.
_KEYS = f"""
UNWIND $ids AS id MATCH (i:Image {{id: id}}) WHERE {alive("Image", "i")} RETURN collect([id, i.key]) AS held
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
    """None of one that was deleted: it stands for no pixels any more."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """A batch, sorted out."""

    keys: NDArray[np.int64]
    """Of each image; 0 where it is new."""
    new: list[int]
    """Positions of the images to store, revisions among them."""
    before: dict[int, Version] = field(default_factory=dict)
    """Of those that are revisions: the version that they follow."""
    others: list[int] = field(default_factory=list)
    """Positions of those that are left out since other pixels are there under their id."""
    deleted: list[int] = field(default_factory=list)
    """Positions of those that are left out since they were deleted before."""

    def id_of(self, position: int, given: str) -> str:
        """The id that a new image gets: its own, or that of the next version."""
        if (before := self.before.get(position)) is None:
            return given
        base, _, number = before.id.rpartition("@")
        return f"{base}@{int(number) + 1}" if before.id != given else f"{given}@2"


def sort_out(stores: Stores, ids: Sequence[str], digests: Sequence[str], on_conflict: OnConflict) -> Arrivals:
    """Compare a batch with what is stored, in one query.

    Raises:
        ConflictError: Ids that are there with other pixels, if that is to be an error.
    """
    known = _versions(stores, ids, digests)
    found = Arrivals(np.zeros(len(ids), np.int64), [])
    refused: list[str] = []
    deleted: list[str] = []
    for position, (id_, digest) in enumerate(zip(ids, digests, strict=True)):
        versions = known.get(id_)
        if versions is None:
            found.new.append(position)
        elif same := [version for version in versions if version.digest == digest]:
            found.keys[position] = same[0].key
        elif on_conflict == "skip":
            found.keys[position] = versions[-1].key
            (found.deleted if versions[-1].digest is None else found.others).append(position)
        elif on_conflict == "revise" or (on_conflict == "update" and versions[-1].digest is not None):
            found.before[position] = versions[-1]
            found.new.append(position)
        else:
            (deleted if versions[-1].digest is None else refused).append(id_)
    if deleted:
        raise _deleted(deleted)
    if refused:
        raise _conflict(refused)
    return found


def stored_keys(stores: Stores, ids: Sequence[str]) -> dict[str, int]:
    """The keys of the ids that are of an image, one that was not deleted."""
    found: dict[str, int] = {}
    for part in batches(ids):
        found.update(stores.graph.read(_KEYS, {"ids": part})[0]["held"])
    return found


def _versions(stores: Stores, ids: Sequence[str], digests: Sequence[str]) -> dict[str, list[Version]]:
    """The versions of each id that is known, oldest first. Revisions are looked up only where pixels differ."""
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
