"""Corrections of labels."""

from __future__ import annotations

from neomodel import RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import InstantProperty, ValueProperty


class LabelChange(Record):
    """One correction of an image's label: when, by whom, from what to what."""

    before = ValueProperty()
    after = ValueProperty()
    at = InstantProperty()
    by = StringProperty()
    why = StringProperty()

    image = RelationshipTo("odin_graph.schema.image.Image", "OF")
