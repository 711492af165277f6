"""Activation sets: the outputs of a layer of a checkpoint for images."""

from __future__ import annotations

from neomodel import (
    ArrayProperty,
    BooleanProperty,
    FloatProperty,
    IntegerProperty,
    RelationshipFrom,
    RelationshipTo,
    StringProperty,
)

from odin_graph.schema.described import Described
from odin_graph.schema.lease import Leased
from odin_graph.schema.relations import DerivedFrom


class ActivationSet(Leased, Described):
    """The stored activations of one layer. Which images they cover, their segments say."""

    state = StringProperty()
    """building or ready."""
    layer = StringProperty()
    """The module's name in the model's tree."""
    pooling = StringProperty()
    """How an image's activations become one row: mean, max, flat; of units: units, channels-max ..."""
    codec = StringProperty()
    """float32 of rows; of units u8, f16 or f32."""
    odin_digest = StringProperty()
    """Of units: the sub-network that feeds the layer, and where it ran."""
    odin_shape = ArrayProperty(IntegerProperty())
    """Of units: of the layer's output for one image, whose numbers in C order are the units."""
    odin_device = StringProperty()
    """Of units: where they were computed, and in which arithmetic: `cpu`, `cuda bfloat16` ..."""
    odin_seconds = FloatProperty()
    """What computing its segments took, and so about what it would take again."""
    odin_pinned = BooleanProperty()
    """True where a user wants it kept, whatever room it takes, else absent."""

    checkpoint = RelationshipTo("odin_graph.schema.checkpoint.Checkpoint", "DERIVED_FROM", model=DerivedFrom)
    indexes = RelationshipFrom("odin_graph.schema.vector_index.VectorIndex", "DERIVED_FROM")
