"""Vector indexes over embeddings."""

from __future__ import annotations

from neomodel import RelationshipTo, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased


class VectorIndex(Leased, Record):
    """A FAISS index over the rows of an activation set."""

    state = StringProperty()
    """building or ready."""
    metric = StringProperty()
    """cosine, l2 or inner-product."""
    uri = StringProperty()
    """Below the root of the arrays."""

    activation_set = RelationshipTo("odin_graph.schema.activation_set.ActivationSet", "DERIVED_FROM")
