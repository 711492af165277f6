"""Activation sets: what a layer of a checkpoint said of images."""

from __future__ import annotations

from neomodel import RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.lease import Leased


class ActivationSet(Leased, Described):
    """The stored activations of one layer. Which images they cover, their segments say."""

    state = StringProperty()
    """building or ready."""
    layer = StringProperty()
    """The module's name in the model's tree."""
    pooling = StringProperty()
    """How an image's activations become one row: mean, max, flat."""
    codec = StringProperty()

    checkpoint = RelationshipTo("odin_graph.schema.checkpoint.Checkpoint", "DERIVED_FROM")
    indexes = RelationshipFrom("odin_graph.schema.vector_index.VectorIndex", "DERIVED_FROM")
