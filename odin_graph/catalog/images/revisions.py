"""New pixels for images that are there: each is a new image, a REVISION_OF the one before, with its metadata."""

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

    Label and free metadata are those of the version before, as far as nothing else is given. Pixels that one of the
    versions has are that version.

    Args:
        stores: The open workspace.
        ids: The images, by the id of any of their versions.
        pixels: (h, w) or (h, w, bands), one an image.
        metadata: Free metadata that is to be other than before, by name.

    Raises:
        UnknownNameError: No such image.
        DataError: An image twice.
        ShapeError: Pixels that are no image.
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
    ours = set(reserved("Image"))
    held = [{name: value for name, value in before[id_]["own"].items() if name not in ours} for id_ in bases]
    names = dict.fromkeys(name for row in held for name in row)
    columns: dict[str, Sequence[Any]] = {name: [decode(row.get(name)) for row in held] for name in names}
    labels = [before[id_]["own"].get("label") for id_ in bases]
    batch = ImageBatch(bases, pixels, labels=labels, metadata={**columns, **(metadata or {})})
    report = add_images(stores, batch, "revise", labels=next(iter(kinds), ("Image",)))
    compact_pixels(stores)
    return report


def _latest(stores: Stores, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in stores.graph.read(_LATEST, {"ids": list(dict.fromkeys(ids))}):
        if row["id"] not in found or row["key"] > found[row["id"]]["key"]:
            found[row["id"]] = row
    return found
