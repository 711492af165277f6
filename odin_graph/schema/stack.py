"""What volumes and videos have in common: images in order, which it is the parent and the root of."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, RelationshipFrom, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.relations import DerivedFrom


class Stack(Described):
    """Images in order: the slices of a volume, the frames of a video. The pixels are theirs alone."""

    __abstract_node__ = True

    state = StringProperty()
    """building, then ready."""
    size = IntegerProperty()
    """How many of its images are stored."""
    shape = ArrayProperty(IntegerProperty())
    """Of the array that came in: (depth, h, w) or (depth, h, w, bands), (frames, h, w) or (frames, h, w, bands)."""
    dtype = StringProperty()
    axis = IntegerProperty()
    """That the images were cut across."""
    every = IntegerProperty()
    """1 where each of them is stored, n where each n-th is."""
    digest = StringProperty(index=True)
    """SHA-256 over shape, axis, step and the digests of the images, hexadecimal."""
    file_digest = StringProperty()
    path = StringProperty()

    derivatives = RelationshipFrom("odin_graph.schema.image.Image", "DERIVED_FROM", model=DerivedFrom)
