"""Images in: pixels first, as segments that no node names, then one graph transaction that names them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.batch import ImageBatch, Pixels, image_digest
from odin_graph.catalog.fields import NewValues
from odin_graph.catalog.pixels import write_originals, write_pixels
from odin_graph.catalog.segments import discard, name_segments
from odin_graph.errors import ConflictError, DataError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_edges, create_nodes
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

OnConflict: TypeAlias = Literal["error", "skip", "revise"]

_ATTEMPTS = 4
_STORED = "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN i.id AS id, i.key AS key, i.digest AS digest"
_REVISIONS = """
UNWIND $ids AS id MATCH (i:Image {id: id})<-[:REVISION_OF*1..]-(r:Image)
RETURN id, r.id AS revision, r.key AS key, r.digest AS digest
"""


@dataclass(frozen=True, eq=False)
class AddReport:
    """What became of a batch."""

    keys: NDArray[np.int64]
    """Of each image of the batch in its order: the new key, or that of the image that was there."""
    added: int
    skipped: int
    """The same id with the same pixels was there, or with others and ``on_conflict="skip"``."""
    revised: int

    @property
    def total(self) -> int:
        """The size of the batch."""
        return len(self.keys)


@dataclass(frozen=True, eq=False)
class _Version:
    id: str
    key: int
    digest: str


def add_images(
    stores: Stores,
    batch: ImageBatch,
    on_conflict: OnConflict = "error",
    *,
    labels: Sequence[str] = ("Image",),
) -> AddReport:
    """Store a batch: when this returns, all of it is stored; when it raises, none.

    The same id with the same pixels is the same image and is left as it is, so that a repeated call goes on where
    it stopped.

    Args:
        stores: The open workspace.
        batch: The images.
        on_conflict: For an id that is there with other pixels: ``"error"``, ``"skip"`` keeps the old image,
            ``"revise"`` makes a new image ``ID@2`` that is a REVISION_OF the one before.
        labels: The node's labels, ``Image`` among them.

    Raises:
        ConflictError: Ids that are there with other pixels; the message lists the first.
        MetadataError: A metadata name or type is refused.
        SpaceError: No space is left.
    """
    if on_conflict not in ("error", "skip", "revise"):
        raise DataError(f'on_conflict={on_conflict!r} is not known: give "error", "skip" or "revise".')
    arrays = batch.arrays()
    digests = [image_digest(image) for image in arrays]
    columns = dict(batch.metadata) if batch.labels is None else {**batch.metadata, "label": batch.labels}
    values = NewValues.of("Image", columns, own=("label",))
    for attempt in range(_ATTEMPTS):
        try:
            return _add_once(stores, batch, arrays, digests, values, on_conflict, labels)
        except _OvertakenError as error:  # another writer stored one of the ids in the meantime: look again
            if attempt == _ATTEMPTS - 1:
                raise ConflictError(str(error)) from error.__cause__
    raise AssertionError("unreachable")


def keys_of(stores: Stores, images: Iterable[Any]) -> NDArray[np.int64]:
    """The keys of images, given as objects with a ``key``, as ids, or as keys.

    Raises:
        DataError: Ids that are of no image.
    """
    listed = list(images)
    ids = [image for image in listed if isinstance(image, str)]
    by_id = {row["id"]: row["key"] for row in stores.graph.read(_STORED, {"ids": ids})} if ids else {}
    if absent := [id_ for id_ in ids if id_ not in by_id]:
        raise DataError(
            f"{len(absent)} ids are of no image, first {', '.join(map(repr, absent[:5]))}: "
            "add the images with db.images.add(...), or correct the ids."
        )
    keys = [by_id[image] if isinstance(image, str) else int(getattr(image, "key", image)) for image in listed]
    return np.array(keys, np.int64)


def _add_once(
    stores: Stores,
    batch: ImageBatch,
    arrays: Sequence[Pixels],
    digests: Sequence[str],
    values: NewValues,
    on_conflict: OnConflict,
    labels: Sequence[str],
) -> AddReport:
    known = _versions(stores, batch, digests)
    keys = np.zeros(len(batch), np.int64)
    new: list[int] = []
    revised: dict[int, _Version] = {}
    refused: list[str] = []
    for position, (id_, digest) in enumerate(zip(batch.ids, digests, strict=True)):
        versions = known.get(id_, [])
        same = next((version for version in versions if version.digest == digest), None)
        if same is not None:
            keys[position] = same.key
        elif not versions:
            new.append(position)
        elif on_conflict == "skip":
            keys[position] = versions[-1].key
        elif on_conflict == "revise":
            revised[position] = versions[-1]
            new.append(position)
        else:
            refused.append(id_)
    if refused:
        raise _conflict(refused)
    if not new:
        return AddReport(keys, added=0, skipped=len(batch), revised=0)
    reserved = stores.graph.reserve_keys(len(new))
    keys[new] = np.arange(reserved.start, reserved.stop)
    segments = write_pixels(stores, keys[new], [arrays[position] for position in new])
    if batch.originals is not None:
        segments += write_originals(stores, keys[new], [batch.originals[position] for position in new])
    rows = []
    for position in new:
        id_ = _next_version(revised[position].id) if position in revised else batch.ids[position]
        rows.append(_own_properties(batch, position, id_, int(keys[position]), arrays[position], digests[position]))

    def name(tx: Transaction) -> None:
        metadata = values.record(tx)
        full = [{**row, **(metadata[position] if metadata else {})} for row, position in zip(rows, new, strict=True)]
        create_nodes(tx, labels, full)
        name_segments(tx, segments)
        if revised:
            edges = [{"start": int(keys[position]), "end": before.key} for position, before in revised.items()]
            create_edges(tx, "REVISION_OF", ("Image", "key"), ("Image", "key"), edges)

    try:
        stores.graph.execute(name)
    except ConflictError as error:
        discard(stores, segments)
        raise _OvertakenError(str(error)) from error
    except DataError:
        discard(stores, segments)
        raise
    return AddReport(keys, added=len(new) - len(revised), skipped=len(batch) - len(new), revised=len(revised))


def _own_properties(
    batch: ImageBatch,
    position: int,
    id_: str,
    key: int,
    pixels: Pixels,
    digest: str,
) -> dict[str, Any]:
    height, width, bands = pixels.shape
    row: dict[str, Any] = {
        "id": id_,
        "key": key,
        "digest": digest,
        "height": height,
        "width": width,
        "bands": bands,
        "dtype": str(pixels.dtype),
        "created_at": now(),
    }
    if batch.paths is not None and batch.paths[position] is not None:
        row["path"] = batch.paths[position]
    if batch.file_digests is not None and batch.file_digests[position] is not None:
        row["file_digest"] = batch.file_digests[position]
    return row


def _versions(stores: Stores, batch: ImageBatch, digests: Sequence[str]) -> dict[str, list[_Version]]:
    """The versions of each id that is known, oldest first. Revisions are looked up only where pixels differ."""
    rows = stores.graph.read(_STORED, {"ids": list(batch.ids)})
    found = {row["id"]: [_Version(row["id"], row["key"], row["digest"])] for row in rows}
    differ = [id_ for id_, digest in zip(batch.ids, digests, strict=True) if id_ in found and found[id_][0].digest != digest]
    if differ:
        for row in stores.graph.read(_REVISIONS, {"ids": differ}):
            found[row["id"]].append(_Version(row["revision"], row["key"], row["digest"]))
        for versions in found.values():
            versions[1:] = sorted(versions[1:], key=lambda version: int(version.id.rpartition("@")[2]))
    return found


def _next_version(id_: str) -> str:
    base, _, number = id_.rpartition("@")
    return f"{base}@{int(number) + 1}" if base and number.isdigit() else f"{id_}@2"


def _conflict(ids: Sequence[str]) -> ConflictError:
    listed = ", ".join(repr(id_) for id_ in ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return ConflictError(
        f"Stored already with other pixels: {listed}{more}. Give the new images other ids, or say what to do: "
        'on_conflict="skip" keeps the old ones, "revise" stores the new ones as their next versions.'
    )


class _OvertakenError(Exception):
    """Another writer stored the same ids first."""


__all__ = ["AddReport", "ImageBatch", "OnConflict", "add_images", "keys_of"]
