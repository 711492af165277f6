"""The properties of edges that have some: one class an edge type, since neomodel knows an edge by its type alone."""

from __future__ import annotations

from neomodel import StringProperty, StructuredRel

from odin_graph.schema.properties import JsonProperty, ValueProperty


class DerivedFrom(StructuredRel):
    """How a thing was made from another. An image says `op` and `params`, a data set says `query`.

    An activation set says `layer`.
    """

    op = StringProperty()
    """Registered name of the image operation."""
    params = JsonProperty()
    code = StringProperty()
    """The packages, with versions, whose code the operation was."""
    query = JsonProperty()
    """The query that selected the subset, in its JSON form."""
    layer = StringProperty()
    """The module's name in the model of that checkpoint: several may share a set, and call the layer otherwise."""


class HadMember(StructuredRel):
    """An image in a data set version."""

    label = ValueProperty()
    """What the version froze as its label; none of a version without labels, and of those made before it was kept."""


class InvalidatedBy(StructuredRel):
    """A tombstone."""

    was = StringProperty()
    """The state that the thing had, and gets again where it is undeleted."""


class Used(StructuredRel):
    """What went into an experiment."""

    role = StringProperty()
    """Of a data set: train, validation, test, or the user's own word. None for a model."""
