"""Store images: pixels first, as segments that no node names, then one graph transaction that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import Rows, SegmentInfo
from odin_graph.catalog.images.arrivals import Arrivals, OnConflict, deduplicate, stored_keys
from odin_graph.catalog.images.batch import ImageBatch, Pixels, image_digest
from odin_graph.catalog.images.pixels import write_originals, write_pixels
from odin_graph.catalog.images.roots import give_roots, roots_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.segments import discard, name_segments
from odin_graph.catalog.records.tombstones import deletion_message
from odin_graph.errors import ConflictError, DataError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import BATCH, create_columns, create_edges
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType
from odin_graph.schema.properties import now
from odin_graph.schema.several import is_several
from odin_graph.served import served
from odin_graph.stores import Stores

T = TypeVar("T")
_ATTEMPTS = 4
_ALIVE = f"UNWIND $keys AS key MATCH (i:Image {{key: key}}) WHERE {alive('Image', 'i')} RETURN collect(key) AS keys"

Relate: TypeAlias = Callable[[Transaction, Sequence[tuple[int, int]]], None]
"""Called with the transaction, and the position in the batch and the key of each new image."""


@dataclass(frozen=True, eq=False)
class AddReport:
    """The outcome of adding a batch of images."""

    keys: NDArray[np.int64]
    """The key of each image of the batch, in its order: a new one, or that of the existing image."""
    added: int
    skipped: int
    """Images whose id existed, with the same pixels or, with ``on_conflict="skip"``, with others."""
    revised: int
    others: tuple[int, ...] = ()
    """The positions of skipped images whose id exists with other pixels."""
    deleted: tuple[int, ...] = ()
    """The positions of skipped images that were deleted before."""

    @property
    def total(self) -> int:
        """The size of the batch."""
        return len(self.keys)


def add_images(
    stores: Stores,
    batch: ImageBatch,
    on_conflict: OnConflict = "error",
    *,
    labels: Sequence[str] = ("Image",),
    relate: Relate | None = None,
    known: Mapping[str, FieldType] | None = None,
    are_new: bool = False,
) -> AddReport:
    """Store a batch: when this returns, all of it is stored; when it raises, none.

    The same id with the same pixels is the same image and is left as it is, so that a repeated call continues where
    it stopped.

    Args:
        stores: The open workspace.
        batch: The images.
        on_conflict: For an id that exists with other pixels: ``"error"``, ``"skip"`` keeps the old image,
            ``"revise"`` makes a new image ``ID@2`` that is a REVISION_OF the one before, and so does ``"update"``,
            but not for a deleted image.
        labels: The labels of the nodes, including ``Image``.
        known: The types of the columns of the whole call, of which this is a batch.
        relate: Called in the same transaction, after the nodes are created, to add the lineage of the new ones.
        are_new: No id is known to exist, so that none is looked up unless the engine finds one.

    Raises:
        ConflictError: Ids that exist with other pixels; the message lists the first.
        MetadataError: A metadata name or type is refused.
        DataError: The pixels of a huge image changed while they were read.
        SpaceError: No space is left.
    """
    return write_images(stores, batch, on_conflict, labels=labels, relate=relate, known=known, are_new=are_new).name()


def write_images(
    stores: Stores,
    batch: ImageBatch,
    on_conflict: OnConflict = "error",
    *,
    labels: Sequence[str] = ("Image",),
    relate: Relate | None = None,
    known: Mapping[str, FieldType] | None = None,
    are_new: bool = False,
) -> Written:
    """The first half of `add_images`: the pixels are stored, and nobody sees them before `Written.name`."""
    if on_conflict not in ("error", "skip", "revise", "update"):
        raise DataError(f'on_conflict={on_conflict!r} is not known: give "error", "skip", "revise" or "update".')
    arrays = batch.arrays(stores.budget.huge)
    known_digests = batch.digests or [None] * len(batch)
    digests = [digest or image_digest(image) for digest, image in zip(known_digests, arrays, strict=True)]
    columns = dict(batch.metadata) if batch.labels is None else {**batch.metadata, "label": batch.labels}
    values = NewValues.of("Image", columns, own=("label",), known=known)
    written = Written(stores, batch, arrays, digests, values, on_conflict, labels, relate)
    written.write(Arrivals.all_new(len(batch)) if are_new else deduplicate(stores, batch.ids, digests, on_conflict))
    return written


@dataclass(eq=False)
class Written:
    """A batch whose pixels are stored, and which the graph does not name yet."""

    stores: Stores
    batch: ImageBatch
    arrays: Sequence[Pixels | Rows]
    digests: Sequence[str]
    values: NewValues
    on_conflict: OnConflict
    labels: Sequence[str]
    relate: Relate | None
    found: Arrivals = field(init=False)
    segments: list[SegmentInfo] = field(init=False)

    def name(self) -> AddReport:
        """Make the images visible; see `add_images`."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._name_once()
            except _OvertakenError as error:  # another writer stored one of the ids meanwhile: retry
                if attempt == _ATTEMPTS - 1:
                    raise ConflictError(str(error)) from error.__cause__
            self.write(deduplicate(self.stores, self.batch.ids, self.digests, self.on_conflict))
        raise AssertionError("unreachable")

    def discard(self) -> None:
        """Remove the pixels of images that will not be named."""
        discard(self.stores, self.segments)

    def write(self, found: Arrivals) -> None:
        """Store the pixels of the images that are new."""
        self.found, self.segments = found, []
        if not (new := found.new):
            return
        stores, keys = self.stores, found.keys
        reserved = stores.graph.reserve_keys(len(new))
        keys[new] = np.arange(reserved.start, reserved.stop)
        self.segments = write_pixels(stores, keys[new], _at(self.arrays, new), _at(self.digests, new))
        if (originals := self.batch.originals) is not None:
            self.segments += write_originals(stores, keys[new], _at(originals, new))

    def _name_once(self) -> AddReport:
        stores, batch, found = self.stores, self.batch, self.found
        keys, new = found.keys, found.new
        if not new:
            return AddReport(keys, 0, len(batch), 0, tuple(found.others), tuple(found.deleted))
        own = _own_columns(batch, self.arrays, self.digests, found)
        if self.relate is not None:  # made of stored images
            del own["odin_origins"]
        at = now()
        revised = [(int(keys[position]), before.key) for position, before in found.before.items()]
        edges = [{"start": key, "end": before} for key, before in revised]
        roots = roots_of(stores, [before for _, before in revised])

        def name(tx: Transaction) -> None:
            free = {name: _at(column, new) for name, column in self.values.record_columns(tx).items()}
            create_columns(tx, self.labels, {**free, **own}, shared={"created_at": at})
            name_segments(tx, self.segments)
            if edges:
                create_edges(tx, "REVISION_OF", ("Image", "key"), ("Image", "key"), edges)
                give_roots(tx, revised, roots)
            if self.relate is not None:
                self.relate(tx, [(position, int(keys[position])) for position in new])

        try:
            stores.graph.execute(name)
        except ConflictError as error:
            self.discard()
            raise _OvertakenError(str(error)) from error
        except DataError:
            self.discard()
            raise
        added, skipped = len(new) - len(edges), len(batch) - len(new)
        return AddReport(keys, added, skipped, len(edges), tuple(found.others), tuple(found.deleted))


def keys_of(stores: Stores, images: Iterable[Any]) -> NDArray[np.int64]:
    """The keys of images, given as objects with a ``key``, as ids, or as keys; also of a single one.

    Raises:
        DataError: Unknown ids, or something that is not an image.
    """
    single = hasattr(images, "key") or not is_several(images)
    listed: list[Any] = [images] if single else list(images)
    if set(map(type, listed)) == {int}:
        return as_keys(listed, {})
    for image in listed:
        key: object = getattr(image, "key", image)
        if isinstance(key, bool | np.bool_) or not isinstance(key, str | int | np.integer):
            raise DataError(f"An image is given as itself, by its id or by its key, not as {image!r:.80}.")
    ids = [image for image in listed if isinstance(image, str)]
    by_id = stored_keys(stores, ids)
    if absent := [id_ for id_ in ids if id_ not in by_id]:
        deleted = deletion_message(stores, absent[0])
        what = f"{len(absent)} ids do not exist, first {', '.join(map(repr, absent[:5]))}"
        raise DataError(
            f"{what}. {deleted}" if deleted else f"{what}: add the images with db.images.add(...), or correct the ids."
        )
    return as_keys(listed, by_id)


def as_keys(images: Iterable[Any], by_id: Mapping[str, int]) -> NDArray[np.int64]:
    """The keys of images that are given by id, by key or as objects; the keys are not checked.

    Raises:
        DataError: A number that cannot be a key.
    """
    keys = [
        image if type(image) is int else by_id[image] if isinstance(image, str) else int(getattr(image, "key", image))
        for image in images
    ]
    if beyond := [key for key in keys if not 0 <= key < 2**63]:
        raise DataError(f"{len(beyond)} keys do not exist, first {beyond[0]}: correct them, or give ids.")
    return np.array(keys, np.int64)


def check_keys(stores: Stores, keys: NDArray[np.int64]) -> None:
    """Refuse keys of unknown or deleted images.

    Raises:
        DataError: Lists the first.
    """
    if len(keys) <= BATCH:
        existing = stores.graph.read(_ALIVE, {"keys": keys.tolist()})[0]["keys"]
    else:  # the engine takes longer to look them up than the columns of all images to be read, which may be warm
        existing = stores.columns.images((), keys).column("key").to_numpy()
    if absent := keys[~np.isin(keys, existing)].tolist():
        raise DataError(
            f"{len(absent)} keys do not exist, or were deleted, first {absent[:5]}: correct them, or give ids."
        )


def _own_columns(
    batch: ImageBatch, arrays: Sequence[Pixels | Rows], digests: Sequence[str], found: Arrivals
) -> dict[str, Sequence[Any]]:
    """The properties of the new images, beside their metadata."""
    new = found.new
    images = _at(arrays, new)
    named = {dtype: str(dtype) for dtype in {image.dtype for image in images}}
    given = _at(batch.ids, new)
    unknown = [None] * len(new)
    return {
        "id": [found.id_of(position, id_) for position, id_ in zip(new, given, strict=True)] if found.before else given,
        "key": found.keys[new].tolist(),
        "digest": _at(digests, new),
        "height": [image.shape[0] for image in images],
        "width": [image.shape[1] for image in images],
        "bands": [image.shape[2] for image in images],
        "dtype": [named[image.dtype] for image in images],
        "path": unknown if batch.paths is None else _at(batch.paths, new),
        "file_digest": unknown if batch.file_digests is None else _at(batch.file_digests, new),
        # Otherwise its id would look like that of a derived image which lost its edge.
        "odin_origins": [
            [] if "#" in id_ and position not in found.before else None
            for position, id_ in zip(new, given, strict=True)
        ],
    }


def _at(column: Sequence[T], positions: Sequence[int]) -> Sequence[T]:
    return column if len(positions) == len(column) else [column[position] for position in positions]


class _OvertakenError(Exception):
    """Another writer stored the same ids first."""


__all__ = ["AddReport", "ImageBatch", "OnConflict", "Written", "add_images", "keys_of", "write_images"]


@served
def key_of(stores: Stores, id: str) -> int:  # noqa: A002 - the users' word for it
    """The key of an image that is there.

    Raises:
        UnknownNameError: There is none, or it was deleted.
        QueryError: It has no key.
    """
    rows = stores.graph.read("MATCH (i:Image {id: $id}) RETURN i.key AS key, i.deleted AS deleted", {"id": id})
    if not rows or rows[0]["deleted"]:
        if rows and (message := deletion_message(stores, id)):
            raise UnknownNameError(message)
        # The nearest names help; all of a million do not.
        known = stores.graph.read(
            f"MATCH (i:Image) WHERE {alive('Image', 'i')} AND i.id IS NOT NULL RETURN i.id AS id LIMIT 1000"
        )
        (all_,) = stores.graph.read(f"MATCH (i:Image) WHERE {alive('Image', 'i')} RETURN count(i) AS n")
        raise UnknownNameError.of("image", id, [row["id"] for row in known], number=all_["n"])
    if rows[0]["key"] is None:
        raise QueryError(
            f"The image {id!r} has no key: another client removed it, or made the image without odin_graph. Its "
            "pixels cannot be found; `odin doctor` lists such images."
        )
    return int(rows[0]["key"])


def has_any(stores: Stores, ids: Sequence[str]) -> bool:
    """Whether an image has, or had, one of these ids."""
    return bool(stores.graph.read("MATCH (i:Image) WHERE i.id IN $ids RETURN i.key AS key LIMIT 1", {"ids": list(ids)}))
