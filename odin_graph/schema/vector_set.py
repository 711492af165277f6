"""Vectors that users hand in: CLIP and the like."""

from __future__ import annotations

from neomodel import IntegerProperty, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.lease import Leased


class VectorSet(Leased, Record):
    """One vector for each of some images. Which images they are, its segments say."""

    state = StringProperty()
    """building or ready."""
    rows = IntegerProperty()
    """How many vectors."""
    length = IntegerProperty()
    """Numbers of a vector."""
