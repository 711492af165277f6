"""Creations: what was made, so that what another client deletes is missed."""

from __future__ import annotations

from typing import Final

from neomodel import StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.kinds import labels_where

CREATED: Final = (*labels_where("created"), "View")
"""The labels of ours of which each node has a creation: those with few nodes, of which nothing else may be left."""


class Creation(Record):
    """That a thing was made. It comes and goes with the node, in the same transaction. The id is `KIND ID`."""

    kind = StringProperty()
    """The label of the thing."""
    thing = StringProperty()
    """The id of the thing."""
