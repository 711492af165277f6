"""Prediction sets: the predictions of one checkpoint, or another source, for one data set version."""

from __future__ import annotations

from neomodel import ArrayProperty, BooleanProperty, IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import JsonProperty
from odin_graph.schema.traced import Traced


class PredictionSet(Traced, Leased, Described):
    """One run of one checkpoint over one data set version; without a checkpoint where predictions were imported."""

    state = StringProperty(index=True)
    """building or ready. Documented Cypher filters on it."""
    number = IntegerProperty()
    """Counts the sets of an experiment over a data set: the latest is the highest."""
    with_nodes = BooleanProperty(db_property="nodes")
    """Whether its predictions are nodes as well. (`nodes` is neomodel's own word.)"""
    rows = IntegerProperty()
    task = StringProperty()
    """Registered name of the task that says what `wrong` is."""
    classes = ArrayProperty()
    """The classes of its probabilities, in their order; None where it has none."""
    input = JsonProperty()
    """What a prediction is of, where it is of several images; None where it is of one."""
    warnings = ArrayProperty(StringProperty(), db_property="odin_warnings")
    """What predictions from elsewhere say otherwise than their own probabilities: sentences."""

    generated_by = RelationshipTo("odin_graph.schema.experiment.Experiment", "GENERATED_BY")
    checkpoint = RelationshipTo("odin_graph.schema.checkpoint.Checkpoint", "DERIVED_FROM")
    dataset = RelationshipTo("odin_graph.schema.dataset.Dataset", "OF")
    predictions = RelationshipFrom("odin_graph.schema.prediction.Prediction", "PART_OF")
