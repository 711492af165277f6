"""The ORM: our classes, users' subclasses and users' own types, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from neomodel import IntegerProperty, RelationshipTo, StringProperty, StructuredRel

from odin_graph import schema
from odin_graph.errors import ConflictError, MetadataError, MismatchError, WorkspaceError
from odin_graph.graph import Graph, lend_to_neomodel
from odin_graph.schema import foreign, keys


class Octa(schema.Image):
    age = IntegerProperty()


class Visit(StructuredRel):
    day = IntegerProperty()


class Person(schema.Node):
    name = StringProperty(unique_index=True, required=True)
    scans = RelationshipTo(schema.Image, "HAS_OCTA", model=Visit)


@pytest.fixture
def orm(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    """The graph, lent to neomodel."""
    monkeypatch.setattr(foreign, "_seen", (0.0, ()))
    lend_to_neomodel(graph)
    yield graph
    keys.lend(None)


def test_a_new_image_reserves_a_key_and_is_found(orm: Graph) -> None:
    first = schema.Image(uid="a/1.png", label="DME").save()
    second = schema.Image(uid="a/2.png").save()
    assert first.key + 1 == second.key
    found = schema.Image.nodes.get(uid="a/1.png")
    assert (found.key, found.label) == (first.key, "DME")
    assert abs((datetime.now(UTC) - found.created_at).total_seconds()) < 60
    assert orm.reserve_keys(1)[0] == second.key + 1


def test_without_a_workspace_a_new_image_says_so(orm: Graph) -> None:
    keys.lend(None)
    with pytest.raises(WorkspaceError, match=r"No workspace is connected to the ORM, .* og.connect.* db.orm\(\)"):
        schema.Image(uid="a").save()
    assert orm.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 0}]


def test_an_id_that_is_taken_is_refused_and_leaves_nothing(orm: Graph) -> None:
    """Outside of a transaction ArcadeDB would keep an empty node."""
    schema.Image(uid="a").save()
    for attempt in (
        lambda: schema.Image(uid="a").save(),
        lambda: schema.Image.nodes.bulk_create({"uid": "b"}, {"uid": "a"}),
        lambda: schema.Image.bulk_save([schema.Image(uid="b"), schema.Image(uid="a")]),
    ):
        with pytest.raises(ConflictError, match="Image: another node has the same uid already"):
            attempt()
    assert orm.read("MATCH (i:Image) RETURN i.id AS id") == [{"id": "a"}]


def test_bulk_methods_reserve_keys_too(orm: Graph) -> None:
    made = schema.Image.nodes.bulk_create({"uid": "a"}, {"uid": "b"})
    again = schema.Image.nodes.bulk_get_or_create({"uid": "b"}, {"uid": "c"})
    saved = schema.Image.bulk_save([schema.Image(uid="d"), schema.Image(uid="e")])
    assert [image.uid for image in again] == ["b", "c"]
    assert again[0].key == made[1].key
    assert len({image.key for image in [*made, *again, *saved]}) == 5
    assert orm.read("MATCH (i:Image) WHERE i.key IS NULL OR i.created_at IS NULL RETURN count(i) AS n") == [{"n": 0}]


def test_a_subclass_is_filtered_by_the_fields_it_declares(orm: Graph) -> None:
    Octa(uid="old", age=70).save()
    Octa(uid="young", age=30).save()
    schema.Image(uid="plain").save()
    assert [scan.uid for scan in Octa.nodes.filter(age__gt=60)] == ["old"]
    assert set(Octa.nodes.get(uid="old").labels()) == {"Octa", "Image"}
    assert {type(image).__name__ for image in schema.Image.nodes} == {"Octa", "Image"}
    assert orm.read("MATCH (f:Field) RETURN f.id AS id, f.type AS type") == [{"id": "Image.age", "type": "int"}]


def test_a_class_defined_again_takes_over(orm: Graph) -> None:
    """A notebook's cell is run again, with one field more."""

    def cell(with_eye: bool) -> Any:
        fields: dict[str, Any] = {"age": IntegerProperty(), "__module__": __name__, "__qualname__": "Fundus"}
        return type("Fundus", (schema.Image,), fields | ({"eye": StringProperty()} if with_eye else {}))

    first = cell(with_eye=False)
    first(uid="a", age=70).save()
    second = cell(with_eye=True)
    (found,) = second.nodes.filter(age__gt=60)
    found.eye = "left"
    found.save()
    assert [held.uid for held in second.nodes.filter(eye="left")] == ["a"]


def test_nodes_of_a_class_that_is_not_defined_here_are_images(orm: Graph) -> None:
    orm.write("CREATE (:Image:Angiography {id: 'a', key: 1, phase: 'late'})")
    (found,) = schema.Image.nodes.all()
    assert (type(found), found.phase) == (schema.Image, "late")


def test_metadata_is_attributes_and_its_types_are_recorded(orm: Graph) -> None:
    image = schema.Image(uid="a", age=60, taken=datetime(2020, 7, 2, 3, 4, tzinfo=UTC)).save()
    image.age = 60.5
    image.save()
    found = schema.Image.nodes.get(uid="a")
    assert (found.age, found.taken) == (60.5, datetime(2020, 7, 2, 3, 4))  # noqa: DTZ001
    rows = orm.read("MATCH (f:Field) RETURN f.id AS id, f.type AS type ORDER BY id")
    assert rows == [{"id": "Image.age", "type": "float"}, {"id": "Image.taken", "type": "datetime"}]
    (row,) = orm.read("MATCH (i:Image) RETURN keys(i) AS names")
    assert set(row["names"]) == {"id", "key", "created_at", "age", "taken"}


def test_metadata_that_is_refused_is_not_saved(orm: Graph) -> None:
    schema.Image(uid="a", age=60).save()
    with pytest.raises(MetadataError, match=r"^Image\.age is int, and a value of it is string"):
        schema.Image(uid="b", age="sixty").save()
    with pytest.raises(MetadataError, match="names that start with 'odin_' are kept"):
        schema.Image(uid="b", odin_age=60).save()
    with pytest.raises(MetadataError, match=r"^Image\.age is int, and a value of it is string"):
        schema.Image.nodes.bulk_create({"uid": "c", "side": 1}, {"uid": "d", "age": "sixty"})
    assert orm.read("MATCH (i:Image) RETURN i.id AS id") == [{"id": "a"}]


def test_metadata_named_as_an_attribute_has_an_underscore(orm: Graph) -> None:
    orm.write("CREATE (:Image {id: 'a', key: 1, labels: ['x', 'y'], save: 3})")
    image = schema.Image.nodes.get(uid="a")
    assert (image.labels_, image.save_) == (["x", "y"], 3)
    image.save_ = 4
    image.save()
    (row,) = orm.read("MATCH (i:Image) RETURN i.save AS save, i.labels AS labels, keys(i) AS names")
    assert (row["save"], row["labels"]) == (4, ["x", "y"])
    assert set(row["names"]) == {"id", "key", "labels", "save"}


def test_edges_of_ours_carry_their_properties(orm: Graph) -> None:
    image, crop = schema.Image(uid="a").save(), schema.Crop(uid="a#1").save()
    crop.derived_from.connect(image, {"op": "crop", "params": {"x": 3, "größe": 4}})
    (row,) = orm.read(
        "MATCH (c:Crop)-[d:DERIVED_FROM]->(:Image {id: 'a'}) RETURN c.id AS id, d.op AS op, d.params AS params"
    )
    assert row == {"id": "a#1", "op": "crop", "params": '{"größe": 4, "x": 3}'}
    assert crop.derived_from.relationship(image).params == {"x": 3, "größe": 4}
    assert [found.uid for found in image.derivatives.all()] == ["a#1"]


def test_users_own_node_and_edge_types(orm: Graph) -> None:
    image = schema.Image(uid="a").save()
    ann = Person(name="Ann").save()
    assert ann.scans.connect(image, {"day": 3}).day == 3
    assert [scan.uid for scan in Person.nodes.get(name="Ann").scans.all()] == ["a"]
    rows = orm.read("MATCH (p:Person)-[h:HAS_OCTA]->(i:Image) RETURN p.name AS name, h.day AS day, i.id AS id")
    assert rows == [{"name": "Ann", "day": 3, "id": "a"}]


def test_a_thread_uses_the_same_workspace(orm: Graph) -> None:
    """neomodel keeps the database's name by context, and a new thread has a context of its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: schema.Image(uid="a").save()).result()
    assert orm.read("MATCH (i:Image) RETURN i.id AS id") == [{"id": "a"}]


@pytest.mark.parametrize("node", schema.NODES, ids=lambda node: node.__name__)
def test_every_class_is_saved_and_found(orm: Graph, node: Any) -> None:
    node(uid="it").save()
    assert type(node.nodes.get(uid="it")) is node


def test_a_node_of_another_workspace_is_not_written_here(orm: Graph) -> None:
    """neomodel has one connection a process: what was read through another one would land in the wrong graph."""
    mine = schema.Image(uid="mine").save()
    other = Graph(replace(orm.endpoint, address=orm.address.replace("127.0.0.1", "localhost")))
    lend_to_neomodel(other)
    try:
        mine.label = "changed"
        for act in (mine.save, mine.refresh, mine.delete):
            with pytest.raises(MismatchError, match=r"call orm\(\) of its own workspace first"):
                act()
        lend_to_neomodel(orm)
        mine.save()
        assert schema.Image.nodes.get(uid="mine").label == "changed"
    finally:
        other.close()
        lend_to_neomodel(orm)
