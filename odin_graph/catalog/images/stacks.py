"""Volumes and videos as records. Their slices and frames are images, DERIVED_FROM them and with them as root.

The node is written first, in state ``building``; then the images, in batches, each complete; then the node becomes
``ready``. If interrupted, the same call continues.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import is_number
from odin_graph.catalog.images.batch import ImageBatch, check_mask, image_digest
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.images.sources import is_lazy, is_stored, release
from odin_graph.catalog.records import creations
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.origins import Origin, texts
from odin_graph.errors import ConflictError, DataError, ShapeError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE
from odin_graph.graph.writer import create_edges, create_nodes
from odin_graph.progress import progress_bar
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.schema.several import in_order
from odin_graph.served import served
from odin_graph.stores import Stores

Kind = Literal["Volume", "Video"]

BATCH: Final = 10_000
"""Images a transaction, unless their pixels reach the other limit before."""
BATCH_BYTES: Final = 256 << 20
PARTS: Final[Mapping[str, str]] = {"Volume": "slice", "Video": "frame"}
"""The name of a single image: the ``op`` of DERIVED_FROM, and the prefix of metadata names."""

_IMAGES: Final = """
MATCH (v:{kind} {{id: $id}}) MATCH (v)<-[e:DERIVED_FROM]-(i:Image) WHERE e.op = $op
RETURN i.id AS id, i.key AS key, i.digest AS digest, i.deleted AS deleted ORDER BY i.id
"""


def is_rate(fps: Any) -> bool:
    """Whether a value can be the frames a second of a video."""
    return is_number(fps) and 0 < fps < 1e9


@dataclass(frozen=True, kw_only=True, eq=False)
class Stack:
    """A volume or a video to be stored."""

    kind: Kind
    id: str
    array: Any
    """(depth, h, w) or (depth, h, w, bands), or the same with frames; a lazy array is read in slices."""
    axis: int = 0
    """The axis across which it is cut."""
    every: int = 1
    """Store each n-th image."""
    fps: float | None = None
    labels: Sequence[Any] | None = None
    """One for each stored image."""
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Metadata with a value for each stored image."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Metadata of the volume or video, which each image inherits."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Metadata of the volume or video alone."""
    paths: Sequence[str | None] | None = None
    """The file of each stored image."""
    node_labels: Sequence[str] = ("Image",)
    """The labels of the nodes of the images."""

    def __post_init__(self) -> None:
        """Check that it can be stored.

        Raises:
            ShapeError: It has no images, or columns have other lengths.
            DataError: An invalid id, axis, step or rate, or masked pixels.
        """
        part, what = PARTS[self.kind], self.kind.lower()
        if not isinstance(self.id, str) or not self.id or "@" in self.id or "#" in self.id:
            raise DataError(f"{self.id!r:.80} is not an id of a {what}: give a string without '@' and '#'.")
        if not isinstance(self.array, np.ndarray) and not is_lazy(self.array):
            raise DataError(
                f"A {what} comes as an array (np.ndarray, np.memmap, zarr), not as {type(self.array)!r:.80}."
            )
        shape = tuple(self.array.shape)
        if len(shape) not in (3, 4) or 0 in shape or not is_stored(self.array.dtype):
            raise ShapeError(
                f"{self.array.dtype} of shape {shape} is not a {what}: give ({part}s, height, width) or "
                f"({part}s, height, width, bands) of integers, floats of up to 64 bits or bools."
            )
        check_mask(self.id, self.array)
        if self.axis not in (0, 1, 2) or isinstance(self.axis, bool):
            raise DataError(f"axis={self.axis!r} is not known: a {what} is cut across axis 0, 1 or 2.")
        if not isinstance(self.every, int) or isinstance(self.every, bool) or self.every < 1:
            raise DataError(f"every={self.every!r} is not known: give 1 for each {part}, or n for each n-th.")
        if self.fps is not None and not is_rate(self.fps):
            raise DataError(f"fps={self.fps!r} is not a rate: give frames a second.")
        self._check_columns()

    def _check_columns(self) -> None:
        part = PARTS[self.kind]
        columns = {**self.columns} if self.labels is None else {"labels": self.labels, **self.columns}
        if reserved := sorted({f"{part}_index", f"{part}_seconds"} & {*self.columns, *self.fields, *self.own}):
            raise DataError(f"{reserved[0]!r} is what we say of each {part}: give the metadata another name.")
        for name, column in columns.items():
            in_order(name, column)
            if len(column) != len(self.indexes):
                raise ShapeError(
                    f"{len(self.indexes)} {part}s are stored, but {len(column)} {name}: give one for each."
                )
        if twice := set(self.fields) & set(self.columns):
            raise DataError(
                f"{', '.join(sorted(twice))}: given for each {part} and for the {self.kind.lower()}. Take one of them."
            )

    @property
    def indexes(self) -> range:
        """The indexes of the stored images along the axis."""
        return range(0, self.array.shape[self.axis], self.every)

    @property
    def ids(self) -> list[str]:
        """The ids of the images: ``ID/000012`` has the index 12."""
        return [f"{self.id}/{index:06d}" for index in self.indexes]

    def image(self, index: int) -> NDArray[Any]:
        """The pixels (h, w) or (h, w, bands) at an index along the axis."""
        where: tuple[Any, ...] = (slice(None),) * self.axis + (index,)
        return np.array(self.array[where], order="C")

    def digest(self, images: Sequence[str]) -> str:
        """Digest over its description and the digests of its images."""
        return stack_digest(self.kind, self.array.shape, self.axis, self.every, images)

    def properties(self) -> dict[str, Any]:
        """The properties of the node that describe the array."""
        values = {
            "shape": [int(size) for size in self.array.shape],
            "dtype": str(np.dtype(self.array.dtype)),
            "axis": self.axis,
            "every": self.every,
            "fps": None if self.fps is None else float(self.fps),
        }
        return {name: value for name, value in values.items() if value is not None}


def add_stack(stores: Stores, stack: Stack, *, progress: bool = True) -> int:
    """Store a volume or a video with its images; return the number of new images. A repeated call changes nothing.

    Raises:
        ConflictError: The id, or ids of its images, are taken; or it was deleted.
        MetadataError: A metadata name or type is refused.
        SpaceError: No space is left.
    """
    state = _begin(stores, stack)
    if state == "ready":
        return 0
    added = 0
    edge = {"op": PARTS[stack.kind], "code": f"odin-graph {version('odin-graph')}"}
    with progress_bar(f"add {stack.kind.lower()} {stack.id}", len(stack.indexes), show=progress) as advance:
        for part in _parts(stack):
            batch = _batch(stack, part)

            def relate(tx: Transaction, new: Sequence[tuple[int, int]], part: range = part) -> None:
                params = [
                    json.dumps({"axis": stack.axis, "index": stack.indexes[part[position]]}) for position, _ in new
                ]
                rows = [
                    {"start": key, "end": stack.id, "params": text, **edge}
                    for (_, key), text in zip(new, params, strict=True)
                ]
                create_edges(tx, "DERIVED_FROM", ("Image", "key"), (stack.kind, "id"), rows)
                ends = [{"start": row["start"], "end": stack.id} for row in rows]
                create_edges(tx, "HAS_ROOT", ("Image", "key"), (stack.kind, "id"), ends)
                tx.run(
                    "UNWIND $keys AS key MATCH (i:Image {key: key}) SET i.odin_origins = $origins",
                    {"keys": [key for _, key in new], "origins": texts([Origin("DERIVED_FROM", stack.kind, stack.id)])},
                    NO_IMAGE,
                )

            added += add_images(stores, batch, labels=stack.node_labels, relate=relate).added
            release(stack.array)
            advance(len(part))
    _finish(stores, stack)
    compact_pixels(stores)
    return added


def stack_digest(kind: Kind, shape: Sequence[int], axis: int, every: int, images: Sequence[str]) -> str:
    """SHA-256, hexadecimal, over the description of a volume or video and the digests of its images, in their order."""
    head = json.dumps([kind, [int(size) for size in shape], axis, every])
    return hashlib.sha256("\n".join([head, *images]).encode()).hexdigest()


@served
def images_of(stores: Stores, kind: Kind, id: str, *, deleted: bool = False) -> list[dict[str, Any]]:  # noqa: A002
    """``id``, ``key``, ``digest`` of the images of a volume or video, in their order."""
    rows = stores.graph.read(_IMAGES.format(kind=kind), {"id": id, "op": PARTS[kind]})
    return [row for row in rows if deleted or not row["deleted"]]


@served
def stack_node(stores: Stores, kind: Kind, id: str) -> dict[str, Any]:  # noqa: A002
    """The properties of a volume or video that is ready.

    Raises:
        UnknownNameError: There is none; lists those there are.
    """
    rows = stores.graph.read(
        f"MATCH (v:{kind} {{id: $id}}) WHERE {alive(kind, 'v')} RETURN properties(v) AS node", {"id": id}
    )
    if not rows:
        word = kind.lower()
        raise UnknownNameError.of(word, id, stack_ids(stores, kind), remedy=f"db.{word}s.add(...) adds one.")
    node: dict[str, Any] = rows[0]["node"]
    return node


@served
def stack_of(stores: Stores, key: int) -> tuple[Kind, str] | None:
    """The kind and id of the volume or video that an image is a slice or a frame of."""
    rows = stores.graph.read(
        "MATCH (i:Image {key: $key}) MATCH (i)-[:DERIVED_FROM]->(v) WHERE v:Volume OR v:Video "
        "RETURN labels(v) AS labels, v.id AS id",
        {"key": key},
    )
    return ("Volume" if "Volume" in rows[0]["labels"] else "Video", str(rows[0]["id"])) if rows else None


@served
def stack_ids(stores: Stores, kind: Kind) -> list[str]:
    """The ids of the ready ones, oldest first."""
    rows = stores.graph.read(f"MATCH (v:{kind}) WHERE {alive(kind, 'v')} RETURN v.id AS id ORDER BY v.created_at, v.id")
    return [str(row["id"]) for row in rows]


def _begin(stores: Stores, stack: Stack) -> str:
    """Create the node if there is none; return its state."""
    if (deleted := deletion_of(stores, stack.kind, stack.id)) is not None:
        raise deleted
    if (node := _read(stores, stack)) is None:
        values = NewValues.of(stack.kind, {name: [value] for name, value in {**stack.fields, **stack.own}.items()})

        def make(tx: Transaction) -> None:
            (free,) = values.record(tx)
            row = {**free, **stack.properties(), "id": stack.id, "state": "building", "created_at": now()}
            create_nodes(tx, (stack.kind,), [row])
            creations.record(tx, stack.kind, stack.id)

        try:
            stores.graph.execute(make)
        except ConflictError:  # another process was faster: continue as if the node had existed
            node = _read(stores, stack)
            if node is None:
                raise
        else:
            return "building"
    differ = [name for name, value in stack.properties().items() if _plain(node.get(name)) != value]
    if not differ and node["state"] == "ready" and node["digest"] != stack.digest(_digests(stack)):
        differ = ["pixels"]
    if differ:
        raise ConflictError(
            f"There is a {stack.kind.lower()} {stack.id!r} already, with other {', '.join(differ)}: give the new one "
            "another id."
        )
    return str(node["state"])


def _read(stores: Stores, stack: Stack) -> dict[str, Any] | None:
    rows = stores.graph.read(f"MATCH (v:{stack.kind} {{id: $id}}) RETURN properties(v) AS node", {"id": stack.id})
    return rows[0]["node"] if rows else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _digests(stack: Stack) -> list[str]:
    return [image_digest(stack.image(index)) for index in stack.indexes]


def _parts(stack: Stack) -> Iterator[range]:
    """Positions among the stored images, in batches."""
    image_bytes = (
        int(stack.array.dtype.itemsize * np.prod(stack.array.shape, dtype=np.int64)) // stack.array.shape[stack.axis]
    )
    size = max(1, min(BATCH, BATCH_BYTES // max(1, image_bytes)))
    for first in range(0, len(stack.indexes), size):
        yield range(first, min(first + size, len(stack.indexes)))


def _batch(stack: Stack, part: range) -> ImageBatch:
    word = PARTS[stack.kind]
    metadata: dict[str, Sequence[Any]] = {name: [value] * len(part) for name, value in stack.fields.items()}
    metadata |= {name: [column[position] for position in part] for name, column in stack.columns.items()}
    metadata[f"{word}_index"] = [stack.indexes[position] for position in part]
    if stack.fps is not None:
        metadata[f"{word}_seconds"] = [stack.indexes[position] / stack.fps for position in part]
    return ImageBatch(
        [stack.ids[position] for position in part],
        [stack.image(stack.indexes[position]) for position in part],
        labels=None if stack.labels is None else [stack.labels[position] for position in part],
        metadata=metadata,
        paths=None if stack.paths is None else [stack.paths[position] for position in part],
    )


def _finish(stores: Stores, stack: Stack) -> None:
    images = images_of(stores, stack.kind, stack.id, deleted=True)
    if [row["id"] for row in images] != stack.ids:
        absent = sorted(set(stack.ids) - {row["id"] for row in images})
        raise ConflictError(
            f"{len(absent)} images were there before, and are not {PARTS[stack.kind]}s of the {stack.kind.lower()} "
            f"{stack.id!r}, first {', '.join(map(repr, absent[:3]))}: give it another id."
        )
    stores.graph.write(
        f"MATCH (v:{stack.kind} {{id: $id, state: 'building'}}) SET v.state = 'ready', v.digest = $digest, "
        "v.size = $size",
        {"id": stack.id, "digest": stack.digest([row["digest"] or "" for row in images]), "size": len(images)},
    )
