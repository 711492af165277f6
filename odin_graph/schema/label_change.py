"""Corrections of labels."""

from __future__ import annotations

from neomodel import IntegerProperty, RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import InstantProperty, ValueProperty


class LabelChange(Record):
    """One correction of an image's label: when, by whom, from what to what."""

    number = IntegerProperty()
    """In the order of all corrections of the workspace; `at` is what the clock of the client said."""
    before = ValueProperty()
    after = ValueProperty()
    at = InstantProperty()
    who = StringProperty()
    why = StringProperty()

    image = RelationshipTo("odin_graph.schema.image.Image", "OF")
