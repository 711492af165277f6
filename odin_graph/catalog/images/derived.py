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
_THERE: Final = """
UNWIND $rows AS r MATCH (d:Image {id: r.id}) OPTIONAL MATCH (d)-[e:DERIVED_FROM]->(p:Image)
RETURN r.at AS at, d.id AS id, d.key AS key, d.deleted AS deleted, e.op AS op, e.params AS params, p.key AS of
"""
_CROPS: Final = ("crop", "center-crop", "patch")
_SHOWN: Final = 5


@dataclass(frozen=True)
class Recipe:
    """How derived images are made of their parents."""

    name: str
    """What stands after the # in their ids."""
    op: str
    """Registered name of the operation; ``pipeline`` of several, ``python`` of a user's function."""
    params: Mapping[str, Any]
    code: str
    """The packages, with versions, whose code it is. The same parameters in a newer version are the same recipe."""
    place: str = ""
    """Which of several images of one parent it is."""

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            DataError: It would make ids that read as something else.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DataError(
                f"{self.name!r} is not a name for derived images: give one without spaces, '#', '/' and '@'. "
                "Their ids are PARENT_ID#name."
            )

    @cached_property
    def params_text(self) -> str:
        """As the edge holds them: keys sorted, so that equal parameters are equal text."""
        return json.dumps(self.params, ensure_ascii=False, sort_keys=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the nodes."""
        return tuple((Crop if self.op in _CROPS else Image).inherited_labels())

    def id_of(self, parent: str) -> str:
        """The id of what is made of a parent."""
        return f"{parent}#{self.name}" + (f"/{self.place}" if self.place else "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image that is to be made."""

    key: int
    """Of its parent."""
    id: str
    """Of its parent."""
    recipe: Recipe

    @property
    def made_id(self) -> str:
        """Its own."""
        return self.recipe.id_of(self.id)


def derivatives(stores: Stores, wanted: Sequence[Wanted]) -> dict[int, int | None]:
    """What was made already: keys by the place in the list; None of one that was deleted since.

    Raises:
        ConflictError: An id is taken by an image that was made in another way.
    """
    found: dict[int, int | None] = {}
    others: list[tuple[Wanted, str]] = []
    for part in batches(enumerate(wanted)):
        rows = [{"at": at, "id": one.made_id} for at, one in part]
        for row in stores.graph.read(_THERE, {"rows": rows}):
            one = wanted[row["at"]]
            if (row["of"], row["op"], row["params"]) == (one.key, one.recipe.op, one.recipe.params_text):
                found[row["at"]] = None if row["deleted"] else row["key"]
            else:
                others.append((one, "added as an image" if row["op"] is None else f"{row['op']} {row['params']}"))
    if others:
        listed = ", ".join(f"{one.made_id!r} ({how})" for one, how in others[:_SHOWN])
        recipe = others[0][0].recipe
        raise ConflictError(
            f"{len(others)} images of the name {recipe.name!r} were made in another way than {recipe.op} "
            f"{recipe.params_text}, first {listed}: give these another name."
        )
    return found


def add_derived(
    stores: Stores, wanted: Sequence[Wanted], pixels: Sequence[Pixels], columns: Mapping[str, Sequence[Any]]
) -> AddReport:
    """Store what was made of parents, with its lineage, in one transaction.

    Args:
        stores: The open workspace.
        wanted: What it is, one an image; all of recipes with the same labels.
        pixels: (h, w) or (h, w, bands), one an image.
        columns: What they inherit: ``label`` and free metadata by name.
    """
    roots = roots_of(stores, sorted({one.key for one in wanted}))
    inherited = dict(columns)
    batch = ImageBatch([one.made_id for one in wanted], pixels, labels=inherited.pop("label", None), metadata=inherited)

    def relate(tx: Transaction, new: Sequence[tuple[int, int]]) -> None:
        made = []
        for position, key in new:
            one = wanted[position]
            said = {"op": one.recipe.op, "params": one.recipe.params_text, "code": one.recipe.code}
            made.append({"start": key, "end": one.key, **said})
        create_edges(tx, "DERIVED_FROM", ("Image", "key"), ("Image", "key"), made)
        give_roots(tx, [(key, wanted[position].key) for position, key in new], roots)

    return add_images(stores, batch, labels=wanted[0].recipe.labels, relate=relate)


@served
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
