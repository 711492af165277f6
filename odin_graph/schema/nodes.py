"""Every node class of the schema, in the order in which they are explained."""

from __future__ import annotations

from typing import Final

from neomodel import StructuredNode

from odin_graph.schema.activation_set import ActivationSet
from odin_graph.schema.attribution_set import AttributionSet
from odin_graph.schema.bookkeeping import Change, Counter, Field, NodeKind, Workspace, Writer
from odin_graph.schema.checkpoint import Checkpoint
from odin_graph.schema.creation import Creation
from odin_graph.schema.dataset import Dataset
from odin_graph.schema.deletion import Deletion
from odin_graph.schema.experiment import Experiment
from odin_graph.schema.image import Crop, Image
from odin_graph.schema.label_change import LabelChange
from odin_graph.schema.member_chunk import MemberChunk
from odin_graph.schema.model import Model
from odin_graph.schema.prediction import Prediction
from odin_graph.schema.prediction_set import PredictionSet
from odin_graph.schema.segment import Segment
from odin_graph.schema.token import Token
from odin_graph.schema.vector_index import VectorIndex
from odin_graph.schema.vector_set import VectorSet
from odin_graph.schema.video import Video
from odin_graph.schema.view import View
from odin_graph.schema.volume import Volume

NODES: Final[tuple[type[StructuredNode], ...]] = (
    Image,
    Crop,
    Video,
    Volume,
    Dataset,
    MemberChunk,
    Model,
    Experiment,
    Checkpoint,
    PredictionSet,
    Prediction,
    ActivationSet,
    AttributionSet,
    VectorIndex,
    VectorSet,
    Segment,
    LabelChange,
    View,
    Creation,
    Deletion,
    Token,
    Workspace,
    Counter,
    Writer,
    Change,
    Field,
    NodeKind,
)

LABELS: Final = tuple(node.__label__ for node in NODES)
"""The labels that are ours."""


def stored_properties(label: str) -> tuple[str, ...]:
    """The names of the properties that are ours on nodes of a label, as the graph has them, sorted."""
    node = {known.__label__: known for known in NODES}[label]
    return tuple(sorted(prop.get_db_property_name(name) for name, prop in node.__all_properties__))
