"""Vector indexes over embeddings."""

from __future__ import annotations

from neomodel import ArrayProperty, RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased


class VectorIndex(Leased, Record):
    """Indexes over the segments of an activation set, or of vectors that a user handed in."""

    state = StringProperty()
    """building or ready."""
    metric = StringProperty()
    """cosine, l2 or inner-product."""
    kind = StringProperty()
    """lists: the vectors of a segment by the center that each is nearest to."""
    segments = ArrayProperty(StringProperty())
    """The segments that are indexed."""
    uris = ArrayProperty(StringProperty())
    """Of their indexes, below the root of the arrays."""

    activation_set = RelationshipTo("odin_graph.schema.activation_set.ActivationSet", "DERIVED_FROM")
    vector_set = RelationshipTo("odin_graph.schema.vector_set.VectorSet", "DERIVED_FROM")
