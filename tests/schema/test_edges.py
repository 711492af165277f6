"""The edge registry agrees with the node classes, and with itself."""

from __future__ import annotations

import pytest
from neomodel import StructuredNode
from neomodel.util import RelationshipDirection

from odin_graph import schema
from odin_graph.errors import UnknownNameError
from odin_graph.schema.edges import EDGES, LINEAGE, TYPES, edge


def declared() -> set[tuple[str, str, str]]:
    """(start, type, end) of every relationship that a node class declares, in the arrow's direction."""
    found = set()
    for node in schema.NODES:
        for name, held in node.__all_relationships__:
            other: type[StructuredNode] = getattr(node(uid="a"), name).definition["node_class"]
            ends = (node.__label__, other.__label__)
            outgoing = held.definition["direction"] == RelationshipDirection.OUTGOING
            start, end = ends if outgoing else ends[::-1]
            found.add((start, held.definition["relation_type"], end))
    return {triple for triple in found if "Crop" not in triple}  # an image in every respect


def test_the_classes_declare_what_the_registry_lists() -> None:
    assert declared() == {(start, e.type, end) for e in EDGES for start in e.start for end in e.end}


def test_edge_properties_are_those_of_the_relationship_classes() -> None:
    models = {
        held.definition["relation_type"]: held.definition["model"]
        for node in schema.NODES
        for _, held in node.__all_relationships__
        if held.definition["model"] is not None
    }
    of_classes = {
        type_: {held.get_db_property_name(name) for name, held in model.defined_properties(rels=False).items()}
        for type_, model in models.items()
    }
    of_registry: dict[str, set[str]] = {}
    for e in EDGES:
        of_registry.setdefault(e.type, set()).update(e.properties)
    assert {type_: names for type_, names in of_registry.items() if names} == of_classes


def test_a_type_is_lineage_or_is_not() -> None:
    """A walk follows types, so a type that is lineage between some labels only would lead it astray."""
    for type_ in TYPES:
        assert len({e.lineage for e in EDGES if e.type == type_}) == 1
    assert set(TYPES) - set(LINEAGE) == {"HAS_ROOT", "INVALIDATED_BY"}


def test_an_edge_is_found_by_type_and_labels() -> None:
    assert edge("USED", "Experiment", "Dataset").properties == ("role",)
    assert edge("DERIVED_FROM", "Crop", "Image").properties == ("op", "params", "code")
    assert edge("PART_OF", "Prediction").end == ("PredictionSet",)


def test_an_unknown_type_lists_the_types() -> None:
    with pytest.raises(
        UnknownNameError, match=r"There is no edge type 'USES'. Did you mean 'USED'\? There is: DERIVED"
    ):
        edge("USES")


def test_labels_that_an_edge_does_not_join_are_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        edge("PART_OF", "Image", "Dataset")
    assert str(caught.value) == (
        "There is no edge (:Image)-[:PART_OF]->(:Dataset). There is: (:Prediction)-[:PART_OF]->(:PredictionSet), "
        "(:MemberChunk)-[:PART_OF]->(:Dataset)."
    )


def test_a_type_of_several_edges_needs_its_labels() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^More than one edge is \(:\)-\[:USED\]->\(:\). There is: \(:Experiment\)"
    ):
        edge("USED")
