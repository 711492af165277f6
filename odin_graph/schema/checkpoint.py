"""Checkpoints: the weights of a model."""

from __future__ import annotations

from neomodel import (
    ArrayProperty,
    BooleanProperty,
    IntegerProperty,
    RelationshipFrom,
    RelationshipTo,
    StringProperty,
)

from odin_graph.schema.base import Record
from odin_graph.schema.relations import InvalidatedBy
from odin_graph.schema.tombstone import Tombstoned
from odin_graph.schema.traced import Traced


class Checkpoint(Traced, Tombstoned, Record):
    """Weights of a model, made by an experiment or imported. The file is named by their digest."""

    weights = StringProperty(index=True)
    """SHA-256 of the weights, in hex."""
    epoch = IntegerProperty()
    step = IntegerProperty()
    best = BooleanProperty()
    """Whether the user called it the experiment's best."""
    not_finite = ArrayProperty(StringProperty())
    """The names of the weights that hold NaN or infinity; missing where all are finite."""

    model = RelationshipTo("odin_graph.schema.model.Model", "SPECIALIZATION_OF")
    generated_by = RelationshipTo("odin_graph.schema.experiment.Experiment", "GENERATED_BY")
    prediction_sets = RelationshipFrom("odin_graph.schema.prediction_set.PredictionSet", "DERIVED_FROM")
    invalidated_by = RelationshipTo("odin_graph.schema.deletion.Deletion", "INVALIDATED_BY", model=InvalidatedBy)
