"""Segments: the immutable pieces that stored arrays consist of."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, StringProperty

from odin_graph.schema.base import Record


class Segment(Record):
    """One piece of an array, named by the transaction that makes its rows visible. What no node names is garbage."""

    array = StringProperty(index=True)
    """The array it is a piece of: `pixels`, `PredictionSet/<id>/columns` ..."""
    uri = StringProperty()
    """Below the root of the arrays."""
    keys = StringProperty(index=True)
    """Digest of its sorted keys, which names the file that holds them."""
    rows = IntegerProperty()
    codec = StringProperty()
    """dense, ragged, tiled (one huge image), table, or units (unit by position)."""
    dtype = StringProperty()
    shape = ArrayProperty(IntegerProperty())
    """Of one row; of units their number."""
    min_key = IntegerProperty()
    max_key = IntegerProperty()
    digest = StringProperty()
    """SHA-256 over the names, sizes and contents of its files, of tiles of values their sizes alone."""
