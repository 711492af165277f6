"""Volumes that images were taken from."""

from __future__ import annotations

from neomodel import IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.relations import DerivedFrom
from odin_graph.schema.tombstone import Tombstoned


class Volume(Tombstoned, Record):
    """A volume, of which slices are images."""

    key = IntegerProperty(index=True, unique=True)
    digest = StringProperty(index=True)
    file_digest = StringProperty()
    path = StringProperty()

    derivatives = RelationshipFrom("odin_graph.schema.image.Image", "DERIVED_FROM", model=DerivedFrom)
    invalidated_by = RelationshipTo("odin_graph.schema.deletion.Deletion", "INVALIDATED_BY")
