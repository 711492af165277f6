"""Derived images as records: ``PARENT_ID#name``, DERIVED_FROM the parent, HAS_ROOT the parent's root."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.batch import ImageBatch, Pixels
from odin_graph.catalog.images import AddReport, add_images
from odin_graph.errors import ConflictError, DataError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches, create_edges
from odin_graph.schema.image import Crop, Image
from odin_graph.stores import Stores

_NAME: Final = re.compile(r"[^\s#/@]+")
_THERE: Final = """
UNWIND $rows AS r MATCH (d:Image {id: r.id}) OPTIONAL MATCH (d)-[e:DERIVED_FROM]->(p:Image)
RETURN r.key AS parent, d.id AS id, d.key AS key, d.deleted AS deleted, e.op AS op, e.params AS params, p.key AS of
"""
_ROOTS: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:HAS_ROOT]->(r)
RETURN key, r.key AS root, r.id AS id, labels(r) AS labels
"""
_CROPS: Final = ("crop", "center-crop")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Recipe:
    """How derived images are made of their parents, one of each."""

    name: str
    """What stands after the # in their ids."""
    op: str
    """Registered name of the operation; ``pipeline`` of several, ``python`` of a user's function."""
    params: Mapping[str, Any]
    code: str
    """The packages, with versions, whose code it is. The same parameters in a newer version are the same recipe."""

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            DataError: It would make ids that read as something else.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DataError(
                f"{self.name!r} is no name for derived images: give one without spaces, '#', '/' and '@'. "
                "Their ids are PARENT_ID#name."
            )

    @property
    def params_text(self) -> str:
        """As the edge holds them: keys sorted, so that equal parameters are equal text."""
        return json.dumps(self.params, ensure_ascii=False, sort_keys=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the nodes."""
        return tuple((Crop if self.op in _CROPS else Image).inherited_labels())

    def id_of(self, parent: str) -> str:
        """The id of what is made of a parent."""
        return f"{parent}#{self.name}"


def derivatives(stores: Stores, recipe: Recipe, parents: Mapping[int, str]) -> dict[int, int | None]:
    """What the recipe has made already: keys by the keys of the parents; None of one that was deleted since.

    Args:
        stores: The open workspace.
        recipe: What is asked for.
        parents: Ids by key.

    Raises:
        ConflictError: An id is taken by an image that was made in another way.
    """
    found: dict[int, int | None] = {}
    others: list[tuple[str, str]] = []
    for part in batches(parents.items()):
        rows = [{"key": key, "id": recipe.id_of(id_)} for key, id_ in part]
        for row in stores.graph.read(_THERE, {"rows": rows}):
            if (row["of"], row["op"], row["params"]) == (row["parent"], recipe.op, recipe.params_text):
                found[row["parent"]] = None if row["deleted"] else row["key"]
            else:
                others.append((row["id"], "added as an image" if row["op"] is None else f"{row['op']} {row['params']}"))
    if others:
        listed = ", ".join(f"{id_!r} ({how})" for id_, how in others[:_SHOWN])
        raise ConflictError(
            f"{len(others)} images of the name {recipe.name!r} were made in another way than {recipe.op} "
            f"{recipe.params_text}, first {listed}: give these another name."
        )
    return found


def add_derived(
    stores: Stores,
    recipe: Recipe,
    parents: Sequence[tuple[int, str]],
    pixels: Sequence[Pixels],
    columns: Mapping[str, Sequence[Any]],
) -> AddReport:
    """Store what was made of parents, with its lineage, in one transaction.

    Args:
        stores: The open workspace.
        recipe: How it was made.
        parents: Key and id of each image's parent.
        pixels: (h, w) or (h, w, bands), one a parent.
        columns: What they inherit: ``label`` and free metadata by name.
    """
    roots = _roots(stores, [key for key, _ in parents])
    inherited = dict(columns)
    batch = ImageBatch(
        [recipe.id_of(id_) for _, id_ in parents], pixels, labels=inherited.pop("label", None), metadata=inherited
    )

    def relate(tx: Transaction, new: Sequence[tuple[int, int]]) -> None:
        said = {"op": recipe.op, "params": recipe.params_text, "code": recipe.code}
        made = [{"start": key, "end": parents[position][0], **said} for position, key in new]
        create_edges(tx, "DERIVED_FROM", ("Image", "key"), ("Image", "key"), made)
        ends: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for position, key in new:
            parent = parents[position][0]
            label, by, root = roots.get(parent, ("Image", "key", parent))
            ends.setdefault((label, by), []).append({"start": key, "end": root})
        for end, rows in ends.items():
            create_edges(tx, "HAS_ROOT", ("Image", "key"), end, rows)

    return add_images(stores, batch, labels=recipe.labels, relate=relate)


def parent_of(stores: Stores, key: int) -> tuple[int, str, str] | None:
    """The key of the image that an image was made of, the operation and its parameters; None of one that came in.

    What was made of a slice of a volume has that slice; a slice itself has none here.
    """
    rows = stores.graph.read(
        "MATCH (i:Image {key: $key}) MATCH (i)-[e:DERIVED_FROM]->(p:Image) "
        "RETURN p.key AS key, e.op AS op, e.params AS params",
        {"key": key},
    )
    return (rows[0]["key"], rows[0]["op"], rows[0]["params"]) if rows else None


def as_keys(found: Mapping[int, int | None], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The derivatives in the order of their parents, without those that were deleted."""
    keys = (found[parent] for parent in order.tolist())
    return np.array([key for key in keys if key is not None], np.int64)


def _roots(stores: Stores, keys: Sequence[int]) -> dict[int, tuple[str, str, Any]]:
    """Where a parent has a root of its own: its label, the property to find it by, and that property's value."""
    found: dict[int, tuple[str, str, Any]] = {}
    for part in batches(keys):
        for row in stores.graph.read(_ROOTS, {"keys": part}):
            if row["root"] is not None:
                found[row["key"]] = ("Image", "key", row["root"])
            else:
                kind = next(label for label in ("Volume", "Video") if label in row["labels"])
                found[row["key"]] = (kind, "id", row["id"])
    return found
