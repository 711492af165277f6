"""New pixels for existing images: each is a new image, a REVISION_OF the version before, with its metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import AddReport, add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.errors import DataError, UnknownNameError
from odin_graph.schema.metadata import decode
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

_VERSION: Final = re.compile(r"@\d+$")
_LATEST: Final = """
UNWIND $ids AS id MATCH (i:Image {id: id}) OPTIONAL MATCH (i)<-[:REVISION_OF*1..]-(r:Image)
WITH id, collect(i) + collect(r) AS versions UNWIND versions AS n WITH DISTINCT id, n
RETURN id, n.key AS key, n.deleted AS deleted, properties(n) AS own, labels(n) AS labels
"""


def revise_images(
    stores: Stores, ids: Sequence[str], pixels: Sequence[Any], metadata: Mapping[str, Sequence[Any]] | None = None
) -> AddReport:
    """Store new pixels of images as their next versions: ``a.png@2``, then ``a.png@3``.

    Label and free metadata are copied from the version before, unless given here. Pixels that equal those of an
    existing version are that version.

    Args:
        stores: The open workspace.
        ids: The images, by the id of any of their versions.
        pixels: (h, w) or (h, w, bands), one an image.
        metadata: Free metadata that changes, by name.

    Raises:
        UnknownNameError: No such image.
        DataError: An image twice.
        ShapeError: Pixels that are not an image.
    """
    bases = [_VERSION.sub("", id_) for id_ in ids]
    before = _latest(stores, bases)
    if absent := [id_ for id_ in bases if id_ not in before]:
        raise UnknownNameError(
            f"{len(absent)} images to revise are not there, first {', '.join(map(repr, absent[:5]))}: "
            "db.images.add(...) adds new ones."
        )
    kinds = {tuple(sorted(before[id_]["labels"], key=lambda label: (label != "Image", label))) for id_ in bases}
    if len(kinds) > 1:
        raise DataError("The images are of several kinds (node labels): revise those of one kind at a time.")
    fixed = set(reserved("Image"))
    rows = [{name: value for name, value in before[id_]["own"].items() if name not in fixed} for id_ in bases]
    names = dict.fromkeys(name for row in rows for name in row)
    columns: dict[str, Sequence[Any]] = {name: [decode(row.get(name)) for row in rows] for name in names}
    labels = [before[id_]["own"].get("label") for id_ in bases]
    batch = ImageBatch(bases, pixels, labels=labels, metadata={**columns, **(metadata or {})})
    report = add_images(stores, batch, "revise", labels=next(iter(kinds), ("Image",)))
    compact_pixels(stores)
    return report


def _latest(stores: Stores, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    latest: dict[str, dict[str, Any]] = {}
    for row in stores.graph.read(_LATEST, {"ids": list(dict.fromkeys(ids))}):
        if row["id"] not in latest or row["key"] > latest[row["id"]]["key"]:
            latest[row["id"]] = row
    return latest
