"""Installing: idempotent, complete before any data, and what the constraints hold."""

from __future__ import annotations

import pytest

from odin_graph import schema
from odin_graph.errors import ConflictError, SchemaVersionError
from odin_graph.graph import Graph, install
from odin_graph.schema import version


def test_every_node_has_a_unique_id() -> None:
    ddl = "\n".join(schema.constraints())
    for label in set(schema.LABELS) - {"Crop", "Field"}:
        assert f"FOR (n:{label}) REQUIRE n.id IS UNIQUE" in ddl


def test_a_crop_is_constrained_as_the_image_that_it_is() -> None:
    assert not [statement for statement in schema.constraints() if "(n:Crop)" in statement]


def test_every_statement_may_be_run_again(graph: Graph) -> None:
    for statement in [*schema.constraints(), *schema.constraints()]:
        graph.autocommit(statement)


@pytest.mark.parametrize("label", ["Image", "Crop"])
def test_an_id_is_unique_among_images_and_crops(graph: Graph, label: str) -> None:
    graph.write("CREATE (:Image {id: 'a', key: 1})")
    extra = "" if label == "Image" else ":Image"
    with pytest.raises(ConflictError):
        graph.write(f"CREATE (:{label}{extra} {{id: 'a', key: 2}})")
    with pytest.raises(ConflictError):
        graph.write(f"CREATE (:{label}{extra} {{id: 'b', key: 1}})")
    assert graph.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 1}]


def test_indexed_integers_have_64_bits(graph: Graph) -> None:
    """ArcadeDB makes 32-bit integers of a property that is indexed too late."""
    keys = [1, 2**31, 2**40, 2**63 - 1]
    graph.write("UNWIND $keys AS key CREATE (:Image {id: toString(key), key: key})", {"keys": keys})
    assert [row["key"] for row in graph.read("MATCH (i:Image) RETURN i.key AS key ORDER BY key")] == keys
    assert graph.read("MATCH (i:Image {key: $key}) RETURN i.id AS id", {"key": 2**40}) == [{"id": str(2**40)}]


def test_a_newer_workspace_is_refused(graph: Graph) -> None:
    graph.write("MATCH (w:Workspace) SET w.schema_version = $newer", {"newer": schema.VERSION + 1})
    with pytest.raises(SchemaVersionError, match=f"has schema version {schema.VERSION + 1}, .* upgrade odin_graph"):
        install(graph)


def test_an_older_workspace_is_migrated_step_by_step(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps run in order, each leaves its version behind, and none runs twice."""
    graph.write("CREATE (:Image {id: 'a', key: 1, side: 'left'})")
    steps = (
        (schema.VERSION, ("MATCH (i:Image) WHERE i.side IS NOT NULL SET i.eye = i.side",)),
        (schema.VERSION + 1, ("MATCH (i:Image) SET i.eye = i.eye + ' eye', i.side = null",)),
    )
    monkeypatch.setattr(version, "MIGRATIONS", steps)
    monkeypatch.setattr(version, "VERSION", schema.VERSION + 2)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    for _ in range(2):
        install(graph)
        assert graph.read("MATCH (i:Image) RETURN i.eye AS eye, i.side AS side") == [{"eye": "left eye", "side": None}]
        assert graph.read("MATCH (w:Workspace) RETURN w.schema_version AS v") == [{"v": schema.VERSION}]


def test_a_step_without_statements_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", 4)
    monkeypatch.setattr(version, "MIGRATIONS", ((2, ("RETURN 1",)),))
    assert version.migrations(1) == [(2, ()), (3, ("RETURN 1",)), (4, ())]
    assert version.migrations(4) == []


def test_names_of_version_3_become_those_of_today(graph: Graph) -> None:
    """Who deleted or corrected was ``by``, and so were the counts of a leak; a split had a ``group``."""
    leaks = '{"leaks": [{"by": {"lineage": {"pairs": 2}}, "test": "b@1", "train": "a@1"}]}'
    split = '{"group": "patient", "odin_split": 1, "seed": 0, "stratify": "group"}'
    for label in ("Deletion", "LabelChange"):
        graph.write(f"CREATE (:{label} {{id: 'x', by: 'Ann'}})")
    graph.write("CREATE (:Experiment {id: 'e', leaks: $leaks})", {"leaks": leaks})
    graph.write("CREATE (:Dataset {id: 'd@1', query: $split})", {"split": split})
    graph.write("MATCH (w:Workspace) SET w.schema_version = 3")
    install(graph)
    for label in ("Deletion", "LabelChange"):
        assert graph.read(f"MATCH (n:{label}) RETURN n.who AS who, n.by AS by") == [{"who": "Ann", "by": None}]
    assert graph.read("MATCH (e:Experiment) RETURN e.leaks AS leaks") == [{"leaks": leaks.replace('"by"', '"rules"')}]
    now = split.replace('{"group"', '{"group_by"')
    assert graph.read("MATCH (d:Dataset) RETURN d.query AS query") == [{"query": now}]
