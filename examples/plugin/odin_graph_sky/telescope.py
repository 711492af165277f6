"""Telescopes, and the images that they took: ``db.things("telescope").add("vlt", aperture=8.2, images=query)``."""

from __future__ import annotations

from odin_graph.schema.kinds import Kind, Link
from odin_graph.schema.metadata import FieldType

TELESCOPE = Kind(
    label="Telescope",
    word="telescope",
    own={"aperture": FieldType.FLOAT, "site": FieldType.STRING},
    links={"images": Link("EXPOSED", "Image", many=True)},
    needed=("aperture",),
    metadata=True,
    deletable=True,
)
