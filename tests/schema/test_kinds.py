"""The kinds of things, and that what reads or writes things of any label has all of them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

from odin_graph.catalog.records.uses import uses
from odin_graph.errors import UnknownNameError
from odin_graph.graph import Graph
from odin_graph.graph.kinds import added_kinds, kind_of, kinds_of
from odin_graph.graph.writer import create_edges
from odin_graph.objects import collections
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.query.collection import Collection
from odin_graph.query.names import kinds as queried
from odin_graph.schema.creation import CREATED
from odin_graph.schema.described import Described
from odin_graph.schema.edges import EDGES
from odin_graph.schema.kinds import DESCRIBED, KINDS, Kind, alive, key_of, labels_where, undeleted
from odin_graph.schema.lease import Leased
from odin_graph.schema.metadata import FieldType
from odin_graph.schema.nodes import LABELS, NODES, stored_properties
from odin_graph.schema.reserved import reserved

NODE = {node.__label__: node for node in NODES}
NO_KINDS = {
    "Crop",
    "MemberChunk",
    "Prediction",
    "Segment",
    "LabelChange",
    "View",
    "Creation",
    "Deletion",
    "Token",
    "Workspace",
    "Counter",
    "Writer",
    "Change",
    "Field",
    "NodeKind",
}
"""Nodes that are a part of something, or bookkeeping: nobody deletes, describes or lists them by themselves."""
every = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def test_a_node_of_ours_is_a_kind_or_is_bookkeeping() -> None:
    assert set(KINDS) | NO_KINDS == set(LABELS)
    assert not NO_KINDS & set(KINDS)


@every
def test_a_kind_agrees_with_its_node_class_and_the_edges(kind: Kind) -> None:
    node, stored = NODE[kind.label], stored_properties(kind.label)
    assert {kind.key, *kind.own, *kind.needed} <= set(stored)
    assert kind.metadata == issubclass(node, Described)
    assert kind.leased == issubclass(node, Leased)
    assert kind.deletable == ("deleted" in stored)
    assert bool(kind.states) == ("state" in stored)
    assert all(isinstance(type_, FieldType) for type_ in kind.own.values())
    falls = {label for edge in EDGES if edge.type == "INVALIDATED_BY" for label in edge.start}
    assert kind.deletable == (kind.label in falls - {"LabelChange"}), "what is deleted points to its deletion"
    types = {edge.type for edge in EDGES}
    drawn = {(edge.type, start, end): edge for edge in EDGES for start in edge.start for end in edge.end}
    for link in kind.links.values():
        assert drawn[link.edge, kind.label, link.to].lineage == link.lineage
    links = [link.pattern for link in kind.links.values()]
    patterns = (*links, kind.datasets, *kind.parts.values(), *(pattern for _, pattern in kind.uses))
    for pattern in patterns:
        assert set(re.findall(r"\[\w*:(\w+)\]", pattern)) <= types
        assert set(re.findall(r"\(\w*:(\w+)\)", pattern)) <= set(LABELS)
    assert all(KINDS[part].deletable for part in kind.parts)


def test_the_tables_of_labels_are_those_of_the_kinds() -> None:
    assert labels_where("metadata") == DESCRIBED
    assert (*labels_where("created"), "View") == CREATED
    assert all(reserved(label) == reserved(KINDS[label]) == stored_properties(label) for label in DESCRIBED)
    with pytest.raises(UnknownNameError, match=r"There is no kind of thing 'Datset'\. Did you mean 'Dataset'\?"):
        alive("Datset")


@every
def test_every_kind_has_its_consumers(kind: Kind, graph: Graph) -> None:
    """What derives from a kind has each of them: no table of labels is kept beside it."""
    label = kind.label
    assert kind_of(graph, label) is kinds_of(graph)[label] is kind
    assert kind.plural != kind.word
    assert key_of(label) == kind.key
    assert kind.alive("x").count(undeleted("x")) == kind.deletable
    if kind.own:  # a query gives objects, whose collection says the same kind
        assert label == class_of(label).KIND
        assert label in {collection.KIND for collection in every_collection()}
        assert set(queried.fields_of(graph, label)) >= {*kind.own, *kind.link_patterns}
    else:
        with pytest.raises(UnknownNameError, match="There is no kind of thing"):
            queried.fields_of(graph, label)
    if kind.created:
        assert label in CREATED


def every_collection() -> list[type[Collection[Any]]]:
    for module in pkgutil.iter_modules(collections.__path__, f"{collections.__name__}."):
        importlib.import_module(module.name)
    found: list[type[Collection[Any]]] = []
    waiting: list[type[Collection[Any]]] = [Collection]  # type: ignore[type-abstract]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        found += [cls] if "KIND" in vars(cls) else []
    return found


BY_HAND = re.compile(r"""(?<!SET )\b\w+\.deleted IS NULL|(?<!SET )\b\w+\.state = ["']ready["']|state: ["']ready["']""")
EXCEPTIONS = {
    "schema/kinds.py": "says what ready and deleted mean",
    "schema/metadata/recording.py": "is below the kinds, and asks of any label",
    "quickstart.py": "shows users a statement as they would write it",
}


def test_no_text_says_by_hand_what_is_ready_and_not_deleted() -> None:
    """One function says it: `alive` for a label, `undeleted` for whatever state a thing is in."""
    root = Path(queried.__file__).parents[2]
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and BY_HAND.search(node.value)
    }
    assert found == set(EXCEPTIONS)


def test_a_graph_without_added_kinds_has_ours_alone(graph: Graph) -> None:
    assert added_kinds(graph) == {}
    assert kinds_of(graph) == KINDS


@every
def test_every_kind_is_counted_listed_and_asked_what_uses_it(kind: Kind, graph: Graph) -> None:
    """What is ready and not deleted is alive; every pattern of a kind is one that the engine reads."""
    label = kind.label
    states = kind.states or (None,)
    ready = "ready" if kind.ready else states[0]
    properties: dict[str, dict[str, Any]] = {
        "a": {"state": ready},
        "b": {"state": ready, "deleted": True},
        "c": {"state": "building"},
    }
    for number, (id_, own) in enumerate(properties.items(), 1):
        own = {name: value for name, value in own.items() if value is not None and (name != "state" or kind.states)}
        graph.write(f"CREATE (n:{label}) SET n = $own", {"own": {kind.key: number, **own, "id": id_}})
    found = graph.read(f"MATCH (x:{label}) WHERE {kind.alive('x')} RETURN x.id AS id ORDER BY id")
    expected = {"a"} if kind.ready else {"a", "c"}
    assert {row["id"] for row in found} == (expected if kind.deletable else expected | {"b"})
    if kind.own:
        names = queried.fields_of(graph, label)
        table = queried.read_things(graph, label, list(names))
        assert set(table.column("id").to_pylist()) == expected
        assert set(table.column_names) == {"key", *names}
    if kind.datasets:
        graph.read(f"MATCH {kind.datasets} RETURN d.id AS id, u AS used")
    for pattern in kind.parts.values():
        graph.read(f"MATCH (t:{label}) MATCH {pattern} RETURN p.id AS id")
    things = [1 if kind.key == "key" else "a"]
    assert graph.execute(lambda tx: uses(tx, label, things)) == []


def test_a_use_is_said(graph: Graph) -> None:
    graph.write("CREATE (:Model {id: 'm'}), (:Experiment {id: 'e', state: 'running'})")
    graph.execute(
        lambda tx: create_edges(tx, "USED", ("Experiment", "id"), ("Model", "id"), [{"start": "e", "end": "m"}])
    )
    assert graph.execute(lambda tx: uses(tx, "Model", ["m"])) == ["is trained by the experiment e"]
