"""The node classes: what is stored is pinned, since every other floor writes these names."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from neomodel import StructuredNode

from odin_graph import schema
from odin_graph.schema.edges import TYPES

STORED = {
    "Image": "bands created_at deleted digest dtype file_digest height id key label odin_origins path width",
    "Crop": "bands created_at deleted digest dtype file_digest height id key label odin_origins path width",
    "Video": "axis created_at deleted digest dtype every file_digest fps id path shape size state",
    "Volume": "axis created_at deleted digest dtype every file_digest id path shape size state",
    "Token": "created_at digest expires_at id scope",
    "VectorSet": "created_at id lease_owner lease_until length rows state",
    "View": "base created_at id query version",
    "Dataset": (
        "base created_at deleted digest frozen_at id label_field lease_owner lease_until odin_given odin_made "
        "odin_origins odin_unchunked odin_warnings query size state tags version"
    ),
    "MemberChunk": "id keys labels number starts",
    "Model": (
        "classes created_at definition deleted digest id input input_shape odin_origins parameters preprocess task tree"
    ),
    "Experiment": (
        "commit created_at deleted finished_at group id leaks lease_owner lease_until loaders odin_chosen "
        "odin_origins packages parameters seed started_at state tags"
    ),
    "Checkpoint": "best created_at deleted epoch id not_finite odin_origins step weights",
    "PredictionSet": (
        "classes created_at deleted id input lease_owner lease_until nodes number odin_origins odin_warnings rows "
        "state task"
    ),
    "Prediction": "confidence id predicted wrong",
    "ActivationSet": (
        "codec created_at deleted id layer lease_owner lease_until odin_device odin_digest odin_pinned odin_seconds "
        "odin_shape pooling state"
    ),
    "AttributionSet": "codec created_at deleted id layer lease_owner lease_until method params state",
    "VectorIndex": "created_at id kind lease_owner lease_until metric segments state uris",
    "Segment": "array codec created_at digest dtype id keys max_key min_key rows shape uri",
    "LabelChange": "after at before created_at id number who why",
    "Creation": "created_at id kind thing",
    "Deletion": "at created_at files id images lease_owner lease_until state who why",
    "Workspace": "created_at fields id odin_budget odin_secret odin_swaps schema_version",
    "Counter": "created_at id next",
    "Writer": "changes created_at id writes",
    "Change": "at created_at fields id keys",
    "Field": "created_at id kind name type",
    "NodeKind": "created_at definition id",
}


def test_what_each_node_stores() -> None:
    assert {label: " ".join(schema.stored_properties(label)) for label in schema.LABELS} == STORED


def test_every_class_of_the_package_is_in_the_registry() -> None:
    for module in pkgutil.walk_packages(schema.__path__, "odin_graph.schema."):
        importlib.import_module(module.name)

    def below(node: type[StructuredNode]) -> set[type[StructuredNode]]:
        return {held for child in node.__subclasses__() for held in {child, *below(child)}}

    ours = {held for held in below(StructuredNode) if held.__module__.startswith("odin_graph.")}
    assert {held for held in ours if "__label__" in vars(held)} == set(schema.NODES)


def test_no_label_is_also_a_relationship_type() -> None:
    """ArcadeDB keeps both in one name space."""
    assert {label.lower() for label in schema.LABELS}.isdisjoint(held.lower() for held in TYPES)


@pytest.mark.parametrize("node", schema.NODES, ids=lambda node: node.__name__)
def test_every_property_and_class_is_known_to_neomodel_by_our_name(node: type[StructuredNode]) -> None:
    assert node.__label__ == node.__name__
    assert getattr(schema, node.__name__) is node
