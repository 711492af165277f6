"""Volumes that images were taken from."""

from __future__ import annotations

from neomodel import IntegerProperty, RelationshipFrom, StringProperty

from odin_graph.schema.base import Described
from odin_graph.schema.relations import DerivedFrom


class Volume(Described):
    """A volume, of which slices are images."""

    key = IntegerProperty(unique_index=True)
    digest = StringProperty(index=True)
    file_digest = StringProperty()
    path = StringProperty()

    derivatives = RelationshipFrom("odin_graph.schema.image.Image", "DERIVED_FROM", model=DerivedFrom)
