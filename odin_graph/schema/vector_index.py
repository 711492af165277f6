"""Vector indexes over embeddings."""

from __future__ import annotations

from neomodel import ArrayProperty, RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import JsonProperty


class VectorIndex(Leased, Record):
    """FAISS indexes over the segments of an activation set, or of vectors that a user handed in."""

    state = StringProperty()
    """building or ready."""
    metric = StringProperty()
    """cosine, l2 or inner-product."""
    kind = StringProperty()
    """ivf, ivf-sq8 or hnsw."""
    segments = ArrayProperty(StringProperty())
    """The segments that are indexed."""
    uris = ArrayProperty(StringProperty())
    """Of their indexes, below the root of the arrays."""
    measured = JsonProperty()
    """Which recall each effort has."""

    activation_set = RelationshipTo("odin_graph.schema.activation_set.ActivationSet", "DERIVED_FROM")
    vector_set = RelationshipTo("odin_graph.schema.vector_set.VectorSet", "DERIVED_FROM")
