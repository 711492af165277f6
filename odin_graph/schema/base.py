"""The two kinds of nodes: those whose properties are all ours, and those that take the user's metadata beside them."""

from __future__ import annotations

from neomodel import RelationshipTo, StringProperty, StructuredNode
from neomodel.contrib.sync_.semi_structured import SemiStructuredNode

from odin_graph.schema.properties import InstantProperty, now


class Record(StructuredNode):
    """A node with an id that is unique among those of its label."""

    __abstract_node__ = True

    uid = StringProperty(db_property="id", unique_index=True, required=True)
    """`id` in the graph and everywhere else; neomodel keeps that name to itself."""
    created_at = InstantProperty(default=now)


class Described(SemiStructuredNode):
    """A node that takes free metadata as plain properties, which are attributes here.

    Metadata whose name is an attribute of every node already (`labels`, `save` ...) is the attribute with an underscore
    behind it: `labels_`. No metadata name ends in an underscore, so that this is unambiguous.
    """

    __abstract_node__ = True

    uid = StringProperty(db_property="id", unique_index=True, required=True)
    created_at = InstantProperty(default=now)
    invalidated_by = RelationshipTo("odin_graph.schema.deletion.Deletion", "INVALIDATED_BY")
