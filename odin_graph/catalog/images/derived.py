"""Derived images as records: ``PARENT_ID#name`` (or ``#name/PLACE``), DERIVED_FROM the parent, HAS_ROOT its root."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from odin_graph.catalog.images.batch import ImageBatch, Pixels
from odin_graph.catalog.images.images import AddReport, add_images
from odin_graph.catalog.images.roots import give_roots, roots_of
from odin_graph.errors import ConflictError, DataError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches, create_edges
from odin_graph.schema.image import Crop, Image
from odin_graph.served import served
from odin_graph.stores import Stores

_NAME: Final = re.compile(r"[^\s#/@]+")
_EXISTING: Final = """
UNWIND $rows AS r MATCH (d:Image {id: r.id}) OPTIONAL MATCH (d)-[e:DERIVED_FROM]->(p:Image)
RETURN r.at AS at, d.id AS id, d.key AS key, d.deleted AS deleted, e.op AS op, e.params AS params, p.key AS of
"""
_CROPS: Final = ("crop", "center-crop", "patch")
_SHOWN: Final = 5


@dataclass(frozen=True)
class Recipe:
    """How derived images are made of their parents."""

    name: str
    """The part of their ids after the #."""
    op: str
    """Registered name of the operation; ``pipeline`` for several, ``python`` for a function of the user."""
    params: Mapping[str, Any]
    code: str
    """The packages of the code, with versions. The same parameters in a newer version are the same recipe."""
    place: str = ""
    """Tells apart several images of one parent."""

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            DataError: The name would make ids that look like other ids.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DataError(
                f"{self.name!r} is not a name for derived images: give one without spaces, '#', '/' and '@'. "
                "Their ids are PARENT_ID#name."
            )

    @cached_property
    def params_text(self) -> str:
        """The text on the edge: keys sorted, so that equal parameters are equal text."""
        return json.dumps(self.params, ensure_ascii=False, sort_keys=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the nodes."""
        return tuple((Crop if self.op in _CROPS else Image).inherited_labels())

    def id_of(self, parent: str) -> str:
        """The id of the image made of a parent."""
        return f"{parent}#{self.name}" + (f"/{self.place}" if self.place else "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A derived image to be made."""

    key: int
    """Key of the parent."""
    id: str
    """Id of the parent."""
    recipe: Recipe

    @property
    def made_id(self) -> str:
        """The id of the derived image."""
        return self.recipe.id_of(self.id)


def derivatives(stores: Stores, wanted: Sequence[Wanted]) -> dict[int, int | None]:
    """The existing ones: keys by position in the list; None for an image that was deleted since.

    Raises:
        ConflictError: An id belongs to an image that was made in another way.
    """
    found: dict[int, int | None] = {}
    conflicts: list[tuple[Wanted, str]] = []
    for part in batches(enumerate(wanted)):
        rows = [{"at": at, "id": item.made_id} for at, item in part]
        for row in stores.graph.read(_EXISTING, {"rows": rows}):
            item = wanted[row["at"]]
            if (row["of"], row["op"], row["params"]) == (item.key, item.recipe.op, item.recipe.params_text):
                found[row["at"]] = None if row["deleted"] else row["key"]
            else:
                conflicts.append((item, "added as an image" if row["op"] is None else f"{row['op']} {row['params']}"))
    if conflicts:
        listed = ", ".join(f"{item.made_id!r} ({how})" for item, how in conflicts[:_SHOWN])
        recipe = conflicts[0][0].recipe
        raise ConflictError(
            f"{len(conflicts)} images of the name {recipe.name!r} were made in another way than {recipe.op} "
            f"{recipe.params_text}, first {listed}: give these another name."
        )
    return found


def add_derived(
    stores: Stores, wanted: Sequence[Wanted], pixels: Sequence[Pixels], columns: Mapping[str, Sequence[Any]]
) -> AddReport:
    """Store derived images, with their lineage, in one transaction.

    Args:
        stores: The open workspace.
        wanted: The description of each image; all recipes must have the same labels.
        pixels: (h, w) or (h, w, bands), one an image.
        columns: The inherited values: ``label`` and free metadata by name.
    """
    roots = roots_of(stores, sorted({item.key for item in wanted}))
    inherited = dict(columns)
    batch = ImageBatch(
        [item.made_id for item in wanted], pixels, labels=inherited.pop("label", None), metadata=inherited
    )

    def relate(tx: Transaction, new: Sequence[tuple[int, int]]) -> None:
        edges = []
        for position, key in new:
            item = wanted[position]
            properties = {"op": item.recipe.op, "params": item.recipe.params_text, "code": item.recipe.code}
            edges.append({"start": key, "end": item.key, **properties})
        create_edges(tx, "DERIVED_FROM", ("Image", "key"), ("Image", "key"), edges)
        give_roots(tx, [(key, wanted[position].key) for position, key in new], roots)

    return add_images(stores, batch, labels=wanted[0].recipe.labels, relate=relate)


@served
def parent_of(stores: Stores, key: int) -> tuple[int, str, str] | None:
    """The key of the parent of a derived image, the operation and its parameters; None for an original image.

    A slice of a volume has no parent here, but is the parent of what was made of it.
    """
    rows = stores.graph.read(
        "MATCH (i:Image {key: $key}) MATCH (i)-[e:DERIVED_FROM]->(p:Image) "
        "RETURN p.key AS key, e.op AS op, e.params AS params",
        {"key": key},
    )
    return (rows[0]["key"], rows[0]["op"], rows[0]["params"]) if rows else None
