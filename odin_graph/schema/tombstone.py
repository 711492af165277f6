"""The property of what was deleted: its node stays, so that lineage can still be told."""

from __future__ import annotations

from neomodel import BooleanProperty


class Tombstoned:
    """Mixed into nodes that can be deleted. No reader of ours shows them afterwards."""

    is_deleted = BooleanProperty(db_property="deleted")
    """True on a tombstone, else absent. (`deleted` is neomodel's own word.)"""
