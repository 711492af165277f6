"""Lineage and impact against closures that plain Python computes over random worlds; on both engines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odin_graph as og
from odin_graph.analysis.impact import impact
from odin_graph.catalog.images.lineage import walk
from odin_graph.graph import Graph
from odin_graph.graph.member_chunks import draw_chunks
from odin_graph.stores import Stores
from tests.shares import share
from tests.workspaces import add_digits

PAGE = Path(__file__).parents[2] / "docs" / "cypher.md"


@dataclass
class World:
    """Ids by kind, and edges (effect, type, cause, properties)."""

    images: int
    derived: list[tuple[int, int]]
    revised: list[tuple[int, int]]
    datasets: list[set[int]]
    experiments: list[list[tuple[str, int]]]
    """The roles and data sets of each."""
    informed: list[tuple[int, int]]
    checkpoints: list[int]
    """The experiment of each."""
    sets: list[tuple[int, int, int | None]] = field(default_factory=list)
    """Experiment, data set, checkpoint of each."""

    def store(self, graph: Graph) -> None:
        write = graph.write
        graph.write(
            "MATCH (n) WHERE n:Image OR n:Dataset OR n:MemberChunk OR n:Experiment OR n:Checkpoint OR n:PredictionSet "
            "DETACH DELETE n"
        )
        write("UNWIND $n AS n CREATE (:Image {id: 'i' + toString(n), key: n})", {"n": list(range(self.images))})
        for kind, pairs in (("DERIVED_FROM", self.derived), ("REVISION_OF", self.revised)):
            write(
                f"UNWIND $rows AS r MATCH (a:Image {{key: r[0]}}), (b:Image {{key: r[1]}}) CREATE (a)-[:{kind}]->(b)",
                {"rows": [list(pair) for pair in pairs]},
            )
        for n, members in enumerate(self.datasets):
            write("CREATE (:Dataset {id: $id, state: 'ready'})", {"id": f"d{n}"})
            table = pa.table({"key": pa.array(sorted(members), pa.int64()), "label": pa.nulls(len(members))})
            draw_chunks(graph, f"d{n}", table)
        for n, used in enumerate(self.experiments):
            write("CREATE (:Experiment {id: $id})", {"id": f"e{n}"})
            for role, dataset in used:
                write(
                    "MATCH (e:Experiment {id: $e}), (d:Dataset {id: $d}) CREATE (e)-[:USED {role: $role}]->(d)",
                    {"e": f"e{n}", "d": f"d{dataset}", "role": role},
                )
        for later, earlier in self.informed:
            write(
                "MATCH (a:Experiment {id: $a}), (b:Experiment {id: $b}) CREATE (a)-[:INFORMED_BY]->(b)",
                {"a": f"e{later}", "b": f"e{earlier}"},
            )
        for n, experiment in enumerate(self.checkpoints):
            write(
                "MATCH (e:Experiment {id: $e}) CREATE (:Checkpoint {id: $id})-[:GENERATED_BY]->(e)",
                {"id": f"c{n}", "e": f"e{experiment}"},
            )
        for n, (experiment, dataset, checkpoint) in enumerate(self.sets):
            write(
                "MATCH (e:Experiment {id: $e}), (d:Dataset {id: $d}) "
                "CREATE (e)<-[:GENERATED_BY]-(s:PredictionSet {id: $id, state: 'ready'})-[:OF]->(d)",
                {"id": f"s{n}", "e": f"e{experiment}", "d": f"d{dataset}"},
            )
            if checkpoint is not None:
                write(
                    "MATCH (s:PredictionSet {id: $id}), (c:Checkpoint {id: $c}) CREATE (s)-[:DERIVED_FROM]->(c)",
                    {"id": f"s{n}", "c": f"c{checkpoint}"},
                )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    images = draw(st.integers(1, 9))
    pairs = st.tuples(st.integers(0, images - 1), st.integers(0, images - 1)).map(sorted).filter(lambda p: p[0] < p[1])
    edges = st.lists(pairs.map(lambda p: (p[1], p[0])), max_size=10, unique=True) if images > 1 else st.just([])
    datasets = draw(st.lists(st.sets(st.integers(0, images - 1), min_size=1), max_size=3))
    used = st.tuples(
        st.sampled_from(["train", "test", "validation", "mine"]), st.integers(0, max(0, len(datasets) - 1))
    )
    experiments = draw(st.lists(st.lists(used, max_size=2, unique=True) if datasets else st.just([]), max_size=4))
    many = len(experiments)
    informed = [
        (later, earlier)
        for later in range(many)
        for earlier in range(later)
        if draw(st.booleans()) and draw(st.booleans())
    ]
    checkpoints = draw(st.lists(st.integers(0, many - 1), max_size=3)) if many else []
    sets = []
    if many and datasets:
        for _ in range(draw(st.integers(0, 4))):
            checkpoint = draw(st.none() | st.integers(0, len(checkpoints) - 1)) if checkpoints else None
            maker = draw(st.integers(0, many - 1)) if checkpoint is None else checkpoints[checkpoint]
            sets.append((maker, draw(st.integers(0, len(datasets) - 1)), checkpoint))
    return World(images, draw(edges), draw(edges), datasets, experiments, informed, checkpoints, sets)


def closure(pairs: Iterable[tuple[int, int]], starts: Iterable[int], *, forward: bool) -> dict[int, int]:
    """What is reached, and its least distance; a start only where it is reached from another."""
    graph = nx.DiGraph(list(pairs))
    if not forward:
        graph = graph.reverse()
    found: dict[int, int] = {}
    for start in starts:
        if start in graph:
            for node, distance in nx.single_source_shortest_path_length(graph, start).items():
                if node != start:
                    found[node] = min(distance, found.get(node, distance))
    return found


@given(world=worlds(), data=st.data())
@settings(max_examples=share(25))
def test_walks_are_closures(stores: Stores, world: World, data: st.DataObject) -> None:
    world.store(stores.graph)
    starts = data.draw(st.sets(st.integers(0, world.images - 1), min_size=1))
    both = world.derived + world.revised
    for direction in ("ancestors", "descendants"):
        for revisions, pairs in ((True, both), (False, world.derived)):
            table = walk(stores, starts, direction, revisions=revisions)
            found = dict(zip(table.column("key").to_pylist(), table.column("depth").to_pylist(), strict=True))
            assert found == closure(pairs, starts, forward=direction == "ancestors")
            assert table.column("depth").to_pylist() == sorted(table.column("depth").to_pylist())


@given(world=worlds(), data=st.data())
@settings(max_examples=share(40))
def test_impact_is_what_a_person_finds_by_hand(stores: Stores, world: World, data: st.DataObject) -> None:
    world.store(stores.graph)
    starts = data.draw(st.sets(st.integers(0, world.images - 1), min_size=1))
    found = impact(stores, sorted(starts))
    reached = set(closure(world.derived + world.revised, starts, forward=False))
    affected = starts | reached
    datasets = {n: len(members & affected) for n, members in enumerate(world.datasets) if members & affected}
    learned = {
        n for n, used in enumerate(world.experiments) if any(role != "test" and d in datasets for role, d in used)
    }
    informed = {later for later, _ in world.informed if learned & set(closure(world.informed, [later], forward=True))}
    learned |= informed
    used = {n for n, said in enumerate(world.experiments) if any(d in datasets for _, d in said)}
    checkpoints = {n for n, experiment in enumerate(world.checkpoints) if experiment in learned}
    sets = {
        n
        for n, (experiment, dataset, checkpoint) in enumerate(world.sets)
        if experiment in learned or dataset in datasets or checkpoint in checkpoints
    }
    assert set(found.images) == {f"i{n}" for n in starts}
    assert set(found.derived) == {f"i{n}" for n in reached - starts}
    assert found.datasets == {f"d{n}": number for n, number in sorted(datasets.items())}
    assert set(found.experiments) == {f"e{n}" for n in used | learned}
    assert {id_ for id_, roles in found.experiments.items() if "informed" in roles} == {f"e{n}" for n in informed}
    assert set(found.checkpoints) == {f"c{n}" for n in checkpoints}
    assert set(found.prediction_sets) == {f"s{n}" for n in sets}
    assert set(found.results) == {(f"e{world.sets[n][0]}", f"d{world.sets[n][1]}") for n in sets}
    rows = stores.graph.read(documented(), {"images": [f"i{n}" for n in starts]})
    table = found.to_arrow().select(["kind", "id"]).to_pylist()
    assert sorted((row["kind"], row["id"]) for row in rows) == sorted(
        (row["kind"], row["id"]) for row in table if row["kind"] != "result"
    )
    found.picture()


def documented() -> str:
    """The statement of docs/cypher.md that answers the same."""
    page = PAGE.read_text(encoding="utf-8")
    said = re.search(r"^## \d+\. What must be redone[^\n]*\n.*?```cypher\n(.*?)```", page, re.M | re.S)
    assert said is not None
    return said[1]


def test_relatives_of_an_image(db: og.Workspace) -> None:
    add_digits(db, 4)
    graph = db._stores.graph
    for effect, cause in ((2, 1), (3, 2)):
        graph.write(
            "MATCH (a:Image {key: $a}), (b:Image {key: $b}) "
            "CREATE (a)-[:DERIVED_FROM {op: 'resize', params: '{\"size\": 9}'}]->(b)",
            {"a": effect, "b": cause},
        )
    first = db.image("digit/000000")
    crops = db.datasets.add("crops", db.images().where(og.F("id") == "digit/000002"))
    with db.run(id="e", train=crops):
        pass
    below = first.descendants()
    assert below.ids() == ["digit/000001", "digit/000002"]
    assert "digit/000002" in below
    assert "digit/000003" not in below
    assert [image.id for image in below.images()] == below.ids()
    assert below.to_arrow().column("op").to_pylist() == ["resize", "resize"]
    assert [experiment.id for experiment in below.used_by(og.Experiment)] == ["e"]
    assert [dataset.id for dataset in below.used_by(og.Dataset)] == ["crops@1"]
    assert len(first.used_by(og.Experiment)) == 0
    assert db.image("digit/000002").ancestors().ids() == ["digit/000001", "digit/000000"]
    assert "2 descendants of 'digit/000000'" in repr(below)
    assert "digit/000002 by resize" in repr(below)
    with pytest.raises(og.QueryError, match=r"og\.Dataset, og\.Experiment or og\.PredictionSet"):
        below.used_by(og.Model)
    found = db.impact("digit/000000")
    assert found.counts == {
        "images": 1, "derived images": 2, "data sets": 1, "experiments": 1, "checkpoints": 0, "prediction sets": 0,
        "results": 0,
    }  # fmt: skip
    assert str(found) == str(db.impact(db.images().where(og.F("id") == "digit/000000"))) == str(db.impact([first]))
    assert "experiment: e (train)" in str(found)


def test_the_picture_has_few_boxes_however_many_things(db: og.Workspace, tmp_path: Path) -> None:
    add_digits(db, 200)
    db.datasets.add("all of them, by a name that is long", db.images())
    found = db.impact(db.images()[:120])
    path = found.save(tmp_path / "impact.png")
    assert path.stat().st_size > 5_000
    shown = {text.get_text() for text in found.picture().figure.axes[0].texts}
    assert "120 images" in shown
    assert len(shown) < 60
    assert "all of them,… that is long" in str(shown) or any("…" in text for text in shown)
