"""Saved views: queries under a name."""

from __future__ import annotations

from neomodel import IntegerProperty, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import JsonProperty


class View(Record):
    """One version of a saved query. It holds the question, never an answer."""

    base = StringProperty(index=True)
    """The name without the version."""
    version = IntegerProperty()
    query = JsonProperty()
    """In its JSON form."""
