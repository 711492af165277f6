"""Whatever the edge registry marks as lineage is followed by every answer about lineage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import odin_graph as og
from odin_graph.schema.edges import EDGES
from tests.docs.test_cypher import STATEMENTS
from tests.kept import kept

OF_IMAGES = sorted({e.type for e in EDGES if e.lineage and "Image" in e.start and "Image" in e.end})
"""Edges from an image to an image that it depends on."""
BY_MEMBERS = {
    ("HAD_MEMBER", "Dataset"): "what a version holds",
    ("USED", "Experiment"): "what went in",
    ("GENERATED_BY", "Checkpoint"): "what was learned",
    ("GENERATED_BY", "PredictionSet"): "what was said",
    ("OF", "PredictionSet"): "what was judged",
    ("DERIVED_FROM", "PredictionSet"): "the weights that said it",
    ("INFORMED_BY", "Experiment"): "who goes on from it",
}
"""Edges that `impact` follows from a member to what rests on it."""
ELSEWHERE = {
    ("REVISION_OF", "Dataset"): "a version without the image is how one mends it: what it holds decides",
    ("DERIVED_FROM", "Dataset"): "a part without the image rests on its own members",
    ("SPECIALIZATION_OF", "Checkpoint"): "leads to a model, which rests on no image",
    ("REVISION_OF", "Model"): "leads to a model, which rests on no image",
    ("OF", "Prediction"): "is told by its set",
    ("PART_OF", "Prediction"): "is told by its set",
    ("PART_OF", "MemberChunk"): "is by what the members of a version are found",
    ("OF", "LabelChange"): "is the history of a label",
    ("DERIVED_FROM", "AttributionSet"): "is made again when it is asked for",
    ("DERIVED_FROM", "ActivationSet"): "is made again when it is asked for",
    ("DERIVED_FROM", "VectorIndex"): "is made again when it is asked for",
}


def test_every_lineage_edge_is_followed_or_said_why_not() -> None:
    """A new edge of the registry makes this fail until somebody decides what impact does with it."""
    marked = {(e.type, start) for e in EDGES if e.lineage for start in e.start}
    assert marked == {*BY_MEMBERS, *ELSEWHERE, *((type_, "Image") for type_ in OF_IMAGES)}
    assert OF_IMAGES == ["DERIVED_FROM", "REVISION_OF"]


@kept
def chain(db: og.Workspace) -> og.Workspace:
    """A scan, its new pixels, a crop of these, and new pixels of the crop; one that has nothing to do with it."""
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8), dtype=np.uint8)
    db.images.add(images=pixels, ids=["scan", "other"], labels=["a", "b"], progress=False)
    db.image("scan").revise(pixels[0] // 2)
    db.images(["scan@2"]).crop((0, 0, 4, 4)).store("crop", progress=False)
    db.image("scan@2#crop").revise(np.zeros((4, 4), np.uint8))
    return db


MADE = ["scan@2", "scan@2#crop", "scan@2#crop@2"]
"""Each by one edge of the one before: a revision, a crop, a revision."""
ASKED: dict[str, Callable[[og.Workspace], set[str]]] = {
    "descendants": lambda db: set(db.image("scan").descendants().ids()),
    "derived_from": lambda db: set(db.images().where(og.derived_from("scan")).to_arrow("id")["id"].to_pylist()),
    "has_root": lambda db: set(db.images().where(og.has_root("scan")).to_arrow("id")["id"].to_pylist()),
    "derived_from in Cypher": lambda db: _by_cypher(db, db.images().where(og.derived_from("scan"))),
    "has_root in Cypher": lambda db: _by_cypher(db, db.images().where(og.has_root("scan"))),
    "HAS_ROOT": lambda db: {
        row["id"] for row in db.cypher("MATCH (i:Image)-[:HAS_ROOT]->(:Image {id: 'scan'}) RETURN i.id AS id")
    },
    "impact": lambda db: set(db.impact(["scan"]).derived),
    "question 9": lambda db: {row["image"] for row in db.cypher(STATEMENTS[9], image="scan")},
    "question 16": lambda db: {
        row["id"] for row in db.cypher(STATEMENTS[16], images=["scan"]) if row["kind"] == "derived image"
    },
}


def _by_cypher(db: og.Workspace, query: og.Query) -> set[str]:
    statement = query.to_cypher()
    keys = [row["key"] for row in db.cypher(statement.text, **statement.parameters)]
    return set(db.images(keys).to_arrow("id")["id"].to_pylist())


def test_every_answer_about_lineage_follows_every_edge_between_images(chain: og.Workspace) -> None:
    assert {name: ask(chain) for name, ask in ASKED.items()} == {name: set(MADE) for name in ASKED}
    assert [dict(row) for row in chain.cypher(STATEMENTS[8], image=MADE[-1])] == [
        {"operations": ["revision", "crop", "revision"], "root": "scan"}
    ]


@pytest.mark.parametrize("edges_of_roots", [True, False], ids=["with roots", "from before revisions had roots"])
def test_leaks_and_uses_follow_them_both_ways(chain: og.Workspace, edges_of_roots: bool) -> None:
    """Any two of the chain are one picture, whichever is learned from and whichever judges."""
    if not edges_of_roots:
        chain._stores.graph.write("MATCH (i:Image)-[r:HAS_ROOT]->() MATCH (i)-[:REVISION_OF]->() DELETE r")
    every = ["scan", *MADE, "other"]
    sets = {id_: chain.datasets.add(f"of {place}", [id_]) for place, id_ in enumerate(every)}
    for learned in every[:-1]:
        for judged in every[:-1]:
            assert chain.leaks(sets[learned], sets[judged]), (learned, judged)
        assert not chain.leaks(sets[learned], sets["other"])
    with pytest.warns(og.LeakWarning), chain.run(id="e", train=sets["scan@2#crop@2"], test=sets["scan"]):
        pass
    assert chain.experiment("e").known_leaks
    rows = chain.cypher(STATEMENTS[7], experiment="e")
    assert [dict(row) for row in rows] == [{"trained_on": "scan@2#crop@2", "tested_on": "scan"}]
    found = chain.impact(["scan"])
    assert set(found.datasets) == {sets[id_].id for id_ in every[:-1]}
    assert found.experiments == {"e": ("test", "train")}
    assert chain.image("scan").descendants().used_by(og.Experiment).ids() == ["e"]
