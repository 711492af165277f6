"""Predictions: the projection of a set's columns into the graph, for lineage in Cypher."""

from __future__ import annotations

from neomodel import BooleanProperty, FloatProperty, RelationshipTo, StringProperty, StructuredNode

from odin_graph.schema.properties import ValueProperty


class Prediction(StructuredNode):
    """What a set says of one image, or of several that are one input.

    A million of them are made at once, so they carry nothing that can be left out.
    """

    uid = StringProperty(db_property="id", unique_index=True, required=True)
    """`SET:KEY`, so that a set says one thing of an image. Of several images the key is that of the first."""
    predicted = ValueProperty()
    """A class, a list of classes, or a number, as the task has it."""
    confidence = FloatProperty()
    wrong = BooleanProperty()
    """Against the labels of the version predicted on; None where it has none."""

    part_of = RelationshipTo("odin_graph.schema.prediction_set.PredictionSet", "PART_OF")
    image = RelationshipTo("odin_graph.schema.image.Image", "OF")
