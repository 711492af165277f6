"""Models: what is needed to build and run one again, without its weights."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.properties import JsonProperty
from odin_graph.schema.relations import Used
from odin_graph.schema.traced import Traced


class Model(Traced, Described):
    """The definition of a model. Its weights are Checkpoints."""

    definition = JsonProperty()
    """An importable factory and its arguments, captured source, or the digest of an exported program."""
    tree = JsonProperty()
    """The module tree, with shapes and parameter counts."""
    input_shape = ArrayProperty(IntegerProperty())
    classes = ArrayProperty()
    """Names or numbers, in the order of the model's outputs."""
    task = StringProperty()
    """Registered name: multi-class, multi-label, regression."""
    input = JsonProperty()
    """What one input is: one image, the images of a stack, or several images of a group."""
    preprocess = JsonProperty()
    """Registered image operations with their parameters: what turns pixels into its input."""
    parameters = IntegerProperty()
    """How many numbers it learns."""
    digest = StringProperty(index=True)
    """SHA-256 of the definition, in hex."""

    revision_of = RelationshipTo("odin_graph.schema.model.Model", "REVISION_OF")
    checkpoints = RelationshipFrom("odin_graph.schema.checkpoint.Checkpoint", "SPECIALIZATION_OF")
    experiments = RelationshipFrom("odin_graph.schema.experiment.Experiment", "USED", model=Used)
