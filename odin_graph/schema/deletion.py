"""Deletions: the tombstones that keep lineage answerable."""

from __future__ import annotations

from neomodel import StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import InstantProperty


class Deletion(Record):
    """When, by whom and why something was deleted."""

    at = InstantProperty()
    by = StringProperty()
    why = StringProperty()
