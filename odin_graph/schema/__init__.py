"""What exists: node classes of neomodel, one concept a file, the edge registry, tasks and metadata types."""

from __future__ import annotations

from odin_graph.schema.activation_set import ActivationSet
from odin_graph.schema.attribution_set import AttributionSet
from odin_graph.schema.base import Node, Record
from odin_graph.schema.bookkeeping import Change, Counter, Field, NodeKind, Workspace, Writer
from odin_graph.schema.checkpoint import Checkpoint
from odin_graph.schema.creation import Creation
from odin_graph.schema.dataset import Dataset
from odin_graph.schema.deletion import Deletion
from odin_graph.schema.edges import EDGES, LINEAGE, Edge, edge, table
from odin_graph.schema.experiment import Experiment
from odin_graph.schema.image import Crop, Image
from odin_graph.schema.label_change import LabelChange
from odin_graph.schema.member_chunk import MemberChunk
from odin_graph.schema.model import Model
from odin_graph.schema.nodes import LABELS, NODES, stored_properties
from odin_graph.schema.prediction import Prediction
from odin_graph.schema.prediction_set import PredictionSet
from odin_graph.schema.properties import now
from odin_graph.schema.relations import DerivedFrom, Used
from odin_graph.schema.segment import Segment
from odin_graph.schema.token import Token
from odin_graph.schema.vector_index import VectorIndex
from odin_graph.schema.vector_set import VectorSet
from odin_graph.schema.version import MIGRATIONS, VERSION, constraints, migrations
from odin_graph.schema.video import Video
from odin_graph.schema.view import View
from odin_graph.schema.volume import Volume

__all__ = [
    "EDGES",
    "LABELS",
    "LINEAGE",
    "MIGRATIONS",
    "NODES",
    "VERSION",
    "ActivationSet",
    "AttributionSet",
    "Change",
    "Checkpoint",
    "Counter",
    "Creation",
    "Crop",
    "Dataset",
    "Deletion",
    "DerivedFrom",
    "Edge",
    "Experiment",
    "Field",
    "Image",
    "LabelChange",
    "MemberChunk",
    "Model",
    "Node",
    "NodeKind",
    "Prediction",
    "PredictionSet",
    "Record",
    "Segment",
    "Used",
    "Token",
    "VectorIndex",
    "VectorSet",
    "Video",
    "View",
    "Volume",
    "Workspace",
    "Writer",
    "constraints",
    "edge",
    "migrations",
    "now",
    "stored_properties",
    "table",
]
