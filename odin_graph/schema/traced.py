"""What a node came from, kept on the node as well as by its edges."""

from __future__ import annotations

from neomodel import ArrayProperty, StringProperty


class Traced:
    """Mixed into nodes that are made together with their lineage, so that an edge that is lost is known to be lost."""

    odin_origins = ArrayProperty(StringProperty())
    """The edges it was made with, each as JSON: type, label and id of the end, and the role of a data set."""
