"""Attribution sets: where a checkpoint looked."""

from __future__ import annotations

from neomodel import RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import JsonProperty
from odin_graph.schema.relations import InvalidatedBy
from odin_graph.schema.tombstone import Tombstoned


class AttributionSet(Leased, Tombstoned, Record):
    """The stored maps of one method at one layer. Which images they cover, their segments say."""

    state = StringProperty()
    """building or ready."""
    method = StringProperty()
    """Registered name."""
    params = JsonProperty()
    layer = StringProperty()
    codec = StringProperty()

    checkpoint = RelationshipTo("odin_graph.schema.checkpoint.Checkpoint", "DERIVED_FROM")
    invalidated_by = RelationshipTo("odin_graph.schema.deletion.Deletion", "INVALIDATED_BY", model=InvalidatedBy)
