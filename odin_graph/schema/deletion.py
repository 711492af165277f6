"""Deletions: the tombstones that keep lineage answerable."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import InstantProperty


class Deletion(Leased, Record):
    """When, by whom and why things were deleted, one node a call. Of a purge also how far it has come."""

    at = InstantProperty()
    who = StringProperty()
    why = StringProperty()
    state = StringProperty()
    """Of a purge: purging, then purged. Absent where only tombstones were made."""
    files = ArrayProperty(StringProperty())
    """Below the arrays' root. Of a purge: what its swaps replaced and it has still to destroy. Of activation sets: what
    held them, which somebody may still be reading, so that `odin gc` spares it for an hour."""
    images = IntegerProperty()
    """Of a purge: how many images it destroyed."""
