"""Experiments: one training, or one source of predictions."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import InstantProperty, JsonProperty
from odin_graph.schema.relations import Used
from odin_graph.schema.traced import Traced


class Experiment(Traced, Leased, Described):
    """One run of a training, with what is needed to do it again."""

    state = StringProperty()
    """running, finished, failed or interrupted."""
    parameters = JsonProperty()
    """Hyper-parameters."""
    seed = IntegerProperty()
    commit = StringProperty()
    """git's, of the folder it ran in; with -dirty where files had changed."""
    packages = JsonProperty()
    """Versions of the installed packages that it used, by name."""
    group = StringProperty()
    tags = ArrayProperty(StringProperty())
    leaks = JsonProperty()
    """What its data sets had in common when it started, by lineage and digest, between every two roles; and what it was
    judged by and had learned from, or one that it goes on from."""
    chosen = JsonProperty(db_property="odin_chosen")
    """What was chosen by a data set in the role test."""
    loaders = JsonProperty()
    """What it was trained on: order, weights and augmentations of each of its loaders."""
    started_at = InstantProperty()
    finished_at = InstantProperty()

    datasets = RelationshipTo("odin_graph.schema.dataset.Dataset", "USED", model=Used)
    model = RelationshipTo("odin_graph.schema.model.Model", "USED", model=Used)
    informed_by = RelationshipTo("odin_graph.schema.experiment.Experiment", "INFORMED_BY")
    checkpoints = RelationshipFrom("odin_graph.schema.checkpoint.Checkpoint", "GENERATED_BY")
    prediction_sets = RelationshipFrom("odin_graph.schema.prediction_set.PredictionSet", "GENERATED_BY")
