"""What is stale is what differs, whoever changed it; and Cypher shows the label that was frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.catalog.datasets import datasets
from tests.docs.test_cypher import STATEMENTS
from tests.kept import kept

IDS = [f"i{n}" for n in range(6)]


@kept
def pets(db: og.Workspace) -> og.Workspace:
    """Six images, and an experiment that takes all of them for a cat."""
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    db.images.add(images=pixels, ids=IDS, labels=["cat", "dog"] * 3, progress=False)
    pets = db.datasets.add("pets", db.images())
    with db.run(id="e", test=pets) as run:
        run.log_predictions(pets, ["cat"] * 6, confidence=[0.9] * 6, classes=["cat", "dog"])
    return db


def _foreign(db: og.Workspace, label: Any) -> None:
    db._stores.graph.write("MATCH (i:Image {id: 'i1'}) SET i.label = $label", {"label": label})


WRITERS: dict[str, Callable[[og.Workspace, Any], Any]] = {
    "db.labels": lambda db, label: db.labels.update("i1", label),
    "another client": _foreign,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_another_label_is_stale_whoever_wrote_it_and_the_same_again_is_not(
    pets: og.Workspace, write: Callable[[og.Workspace, Any], Any]
) -> None:
    assert not pets.labels.stale()
    for label in ("cat", None):
        write(pets, label)
        found = pets.labels.stale()
        assert found.datasets == {"pets@1": 1}
        assert found.labels.select(["image", "frozen", "today"]).to_pylist() == [
            {"image": "i1", "frozen": "dog", "today": label}
        ]
        assert found.experiments == {"e": {"pets@1": "test"}}
        assert pets.experiment("e").results("pets").counts.stale == 1
        redo = pets.cypher(STATEMENTS[10], image="i1")
        assert [dict(row) for row in redo] == [{"experiment": "e", "dataset": "pets@1"}]
        truth = {row["image"]: row["truth"] for row in pets.cypher(STATEMENTS[4], experiment="e", confidence=0.5)}
        assert truth == {"i1": "dog", "i3": "dog", "i5": "dog"}, "the label that it was judged by"
    write(pets, "dog")
    assert not pets.labels.stale()
    assert pets.experiment("e").results("pets").counts.stale == 0
    assert len(pets.cypher(STATEMENTS[10], image="i1")) == 0


def test_labels_that_another_client_removed_are_all_stale_but_for_those_given_by_hand(pets: og.Workspace) -> None:
    part = pets.datasets["pets"].split({"a": 0.5, "b": 0.5})["a"]
    hand = pets.datasets.add("hand", pets.images(), labels=["owl"] * 6)
    by_hand = hand.split({"c": 0.5, "d": 0.5})["c"]
    pets._stores.graph.write("MATCH (i:Image) REMOVE i.label")
    found = pets.labels.stale()
    assert found.datasets == {"pets@1": 6, part.id: len(part), "pets/b@1": 6 - len(part)}
    assert by_hand.id not in found.datasets
    assert set(found.labels["today"].to_pylist()) == {None}


@pytest.mark.parametrize("labels", [["cat"] * 6, [1, 2] * 3, [["a", "b"], ["a"]] * 3, [1.5, 2.5] * 3], ids=str)
def test_chunks_and_edges_have_the_frozen_label_until_the_image_is_purged(db: og.Workspace, labels: list[Any]) -> None:
    """Of every type that a label can have."""
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    db.images.add(images=pixels, ids=IDS, labels=labels, progress=False)
    db.datasets.add("s", db.images())
    asked = "MATCH (:Dataset {id: 's@1'})-[m:HAD_MEMBER]->(i:Image) RETURN i.id AS image, m.label AS label"
    in_chunks = (
        "MATCH (i:Image) MATCH (c:MemberChunk {number: i.key / 256})-[:PART_OF]->(:Dataset {id: 's@1'}) "
        "WHERE i.key IN c.keys WITH i, c, size([key IN c.keys WHERE key < i.key]) AS n RETURN i.id AS image, "
        "CASE WHEN c.starts IS NULL THEN c.labels[n] ELSE c.labels[c.starts[n]..c.starts[n + 1]] END AS label"
    )
    for statement in (asked, in_chunks):
        assert {row["image"]: row["label"] for row in db.cypher(statement)} == dict(zip(IDS, labels, strict=True))
    db.images(["i0"]).purge(force=True)
    for statement in (asked, in_chunks):
        left = {row["image"]: row["label"] for row in db.cypher(statement)}
        assert left == {**dict(zip(IDS, labels, strict=True)), "i0": None}
    assert db.doctor().sound


@pytest.mark.parametrize("edges", [True, False], ids=["small enough for edges", "too large for edges"])
@pytest.mark.parametrize(("frozen", "today"), [("cat", "dog"), (["a", "b"], ["b"]), ([], ["b"])], ids=str)
def test_cypher_compares_the_frozen_label_with_todays(
    db: og.Workspace, monkeypatch: pytest.MonkeyPatch, frozen: Any, today: Any, edges: bool
) -> None:
    if not edges:
        monkeypatch.setattr(datasets, "BROWSED", 0)
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
    others = ["dog"] * 5 if frozen == "cat" else [["b"], ["a"], ["a", "b"], ["c", "a"], ["b"]]
    db.images.add(images=pixels, ids=IDS, labels=[*others, frozen], progress=False)
    db.datasets.add("s", db.images())
    db.cypher(
        "MATCH (d:Dataset {id: 's@1'}) CREATE (d)<-[:OF]-(s:PredictionSet {id: 'e/1', state: 'ready'})"
        "-[:GENERATED_BY]->(:Experiment {id: 'e'}) WITH s MATCH (i:Image) CREATE (s)<-[:PART_OF]-"
        "(:Prediction {id: 'e/1:' + i.id, predicted: 'x', confidence: 0.9, wrong: true})-[:OF]->(i)",
        write=True,
    )
    db.labels.update({"i5": today})
    drawn = db.cypher("MATCH (:Dataset)-[m:HAD_MEMBER]->() RETURN count(m) AS n")
    assert [row["n"] for row in drawn] == [6 * edges]
    rows = db.cypher(STATEMENTS[4], experiment="e", confidence=0.5)
    assert {row["image"]: row["truth"] for row in rows} == dict(zip(IDS, [*others, frozen], strict=True))
    redo = [[dict(row) for row in db.cypher(STATEMENTS[10], image=image)] for image in ("i4", "i5")]
    assert redo == [[], [{"experiment": "e", "dataset": "s@1"}]]
