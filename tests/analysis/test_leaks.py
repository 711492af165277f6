"""Leaks by lineage, digest, fields, nearness and a relation of one's own, against brute force; test-set discipline."""

from __future__ import annotations

import math
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch import Tensor, nn

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.leak_rules import Matches, Side
from odin_graph.analysis.near import near
from odin_graph.ops import ToFloat
from tests.kept import kept
from tests.shares import share
from tests.workspaces import add_digits

VALUES = st.lists(st.none() | st.integers(0, 4), max_size=30)


@given(train=VALUES, test=VALUES, limit=st.none() | st.integers(0, 20))
def test_equal_values_are_the_join(train: list[int | None], test: list[int | None], limit: int | None) -> None:
    found = Matches.equal(pa.array(train, pa.int64()), pa.array(test, pa.int64()))
    expected = [(a, b) for b, a in product(range(len(test)), range(len(train))) if train[a] == test[b] is not None]
    assert len(found) == len(expected)
    left, right, distance = found.pairs(limit)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == expected[:limit]
    assert distance is None
    assert found.train_images.tolist() == sorted({a for a, _ in expected})
    assert found.test_images.tolist() == sorted({b for _, b in expected})


@given(seed=st.integers(0, 99), sizes=st.tuples(st.integers(0, 40), st.integers(0, 40)), within=st.floats(0.01, 1.0))
def test_near_is_every_pair_within(seed: int, sizes: tuple[int, int], within: float) -> None:
    draw = np.random.default_rng(seed)
    sides = [draw.normal(size=(size, 3)) for size in sizes]
    left, right = ((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in sides)
    distance = 1.0 - left.astype(np.float64) @ right.astype(np.float64).T
    if np.any(np.abs(distance - within) < 1e-6):
        return  # on the edge, where rounding decides
    found = near(left, right, at_least=1.0 - within)
    pairs = {(int(a), int(b)) for a, b in zip(found.train, found.test, strict=True)}
    assert pairs == {(int(a), int(b)) for a, b in np.argwhere(distance <= within)}
    assert found.distance is not None
    np.testing.assert_allclose(found.distance, np.maximum(distance[found.train, found.test], 0), atol=1e-12)
    nearest, _, first = found.pairs(3)
    assert first is not None
    assert first.tolist() == sorted(found.distance.tolist())[:3]
    assert len(nearest) == min(3, len(found))
    _, _, ends = found.pairs(4, ends=True)
    assert ends is not None
    inorder = sorted(found.distance.tolist())
    assert ends.tolist() == (inorder[:2] + inorder[-2:] if len(found) > 4 else inorder)


@given(data=st.data())
@settings(max_examples=share(20))
def test_lineage_is_the_closure_over_derived_from(db: og.Workspace, data: st.DataObject) -> None:
    """Two leak where they have a root in common; of several parents, as other clients draw them, each counts."""
    number = data.draw(st.integers(2, 8))
    db._stores.graph.write("MATCH (n) WHERE n:Image OR n:Dataset OR n:Segment DETACH DELETE n")
    images = np.random.default_rng(0).integers(0, 256, (number, 3, 3), np.uint8)
    db.images.add(images=images, progress=False)
    keys = sorted(image.key for image in db.images)
    roots: list[set[int]] = []
    for child in range(number):
        parents = data.draw(st.sets(st.integers(0, child - 1), max_size=2)) if child else set()
        roots.append(set().union(*(roots[parent] for parent in parents)) or {child})
        edges = [("DERIVED_FROM", parent) for parent in parents]
        if len(parents) == 1:  # ours, which has one root
            edges.append(("HAS_ROOT", min(roots[child])))
        for kind, end in edges:
            db._stores.graph.write(
                f"MATCH (c:Image {{key: $c}}), (p:Image {{key: $p}}) CREATE (c)-[:{kind}]->(p)",
                {"c": keys[child], "p": keys[end]},
            )
    train, test = (sorted(data.draw(st.sets(st.integers(0, number - 1), min_size=1))) for _ in range(2))
    version = data.draw(st.uuids()).hex
    for name, chosen in (("train", train), ("test", test)):
        db.datasets.add(f"{name}-{version}", [keys[n] for n in chosen], label=None)
    found = db.leaks(f"train-{version}", f"test-{version}", rules=["lineage"])
    pairs = [(row["train_key"], row["test_key"]) for row in found.to_arrow().to_pylist()]
    assert sorted(pairs) == [(keys[a], keys[b]) for a in train for b in test if roots[a] & roots[b]]
    assert bool(found) == bool(pairs)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 7, stride=4)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.features(x)).mean((2, 3)))


@kept
def photographs(db: og.Workspace) -> og.Workspace:
    """Real photographs of 96 x 96: some twice, some again half as bright, with patients and places in the sky."""
    cut = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    tiles = [photo[y : y + 96, x : x + 96] for photo in cut for y in (0, 150) for x in (0, 110, 220)]
    dimmed = [(tile * 0.5).astype(np.uint8) for tile in tiles[:2]]
    images = [*tiles, tiles[0], *dimmed]
    number = len(images)
    db.images.add(
        images=images,
        labels=["a", "b"] * (number // 2) + ["a"] * (number % 2),
        ids=[f"photo-{n}" for n in range(number)],
        metadata={
            "patientID": [f"p{n % 9}" if n else None for n in range(number)],
            "ra": [10.0 + n for n in range(number - 1)] + [10.001],
            "dec": [0.0] * number,
        },
        progress=False,
    )
    db.datasets.add("train", [f"photo-{n}" for n in range(15)])
    db.datasets.add("test", [f"photo-{n}" for n in range(15, number)])
    return db


def test_by_digest_field_and_nearness(photographs: og.Workspace, tmp_path: Path) -> None:
    report = photographs.leaks("train", "test", rules=["lineage", "digest", "near", F("patientID")])
    rows = report.to_arrow().to_pylist()
    by = {name: {(row["train"], row["test"]) for row in rows if row["rule"] == name} for name in report.found}
    assert by["lineage"] == set()
    assert by["digest"] == {("photo-0", "photo-24")}
    assert by["near"] >= {("photo-0", "photo-24"), ("photo-0", "photo-25"), ("photo-1", "photo-26")}
    assert ("photo-5", "photo-24") not in by["near"]
    fields = {row["id"]: row["patientID"] for row in photographs.images().to_arrow("id", "patientID").to_pylist()}
    halves = [photographs.images(name).to_arrow("id").column("id").to_pylist() for name in ("train", "test")]
    assert by["patientID"] == {(a, b) for a, b in product(*halves) if fields[a] == fields[b] is not None}
    assert report.counts["digest"] == {"pairs": 1, "test images": 1, "training images": 1}
    assert set(report.test_keys()) == {photographs.image(test).key for _, test in set().union(*by.values())}
    assert "test images leak" in str(report)
    assert "by digest: 1 pairs of 1 training and 1 test images" in str(report)
    clean = photographs.images("test").where(~F("key").isin(report.test_keys()))
    if clean.count():
        photographs.datasets.add("clean", clean)
        assert not photographs.leaks("train", "clean", rules=["digest", "near", F("patientID")])
    assert report.save(tmp_path / "pairs.png").stat().st_size > 20_000
    captions = [text.get_text() for text in report.picture().figure.texts]
    assert "train, by digest" in captions
    assert "test, by digest" in captions


def test_by_embedding(photographs: og.Workspace) -> None:
    db = photographs
    db.models.add("net", Net, input_shape=(3, 96, 96), classes=["a", "b"], preprocess=[ToFloat()])
    torch.manual_seed(0)
    with db.run("net", train="train") as run:
        run.add_checkpoint(Net())
    layer = db.experiment("net/1").layer("features")
    vectors = {name: layer.embeddings(db.images(name), progress=False).astype(np.float64) for name in ("train", "test")}
    unit = {name: held / np.linalg.norm(held, axis=1, keepdims=True) for name, held in vectors.items()}
    distance = 1.0 - unit["train"] @ unit["test"].T
    found = db.leaks("train", "test", rules=[layer], within=0.005)
    assert found.counts["near features"]["pairs"] == int((distance <= 0.005).sum()) > 0
    assert "photo-24" in found.to_arrow().column("test").to_pylist()


class WithinOneArcSecond:
    """A user's own relation: no equality of keys, but nearness on the sky."""

    name = "sky"

    def __call__(self, train: Side, test: Side) -> Matches:
        spheres = []
        for side in (train, test):
            ra, dec = (np.deg2rad(column.to_numpy()) for column in side.fields("ra", "dec").columns)
            spheres.append(np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1))
        pairs = cKDTree(spheres[1]).query_ball_point(spheres[0], 2 * np.sin(np.deg2rad(1 / 3600) / 2))
        found = [(a, b) for a, near_by in enumerate(pairs) for b in near_by]
        return Matches(*np.array(found, np.int64).reshape(-1, 2).T)


def test_by_a_relation_of_ones_own(photographs: og.Workspace) -> None:
    assert not photographs.leaks("train", "test", rules=[WithinOneArcSecond()])
    photographs.images.update({"id": ["photo-26"], "ra": [10.0 + 0.5 / 3600]})
    found = photographs.leaks("train", "test", rules=[WithinOneArcSecond()])
    assert found.to_arrow().select(["rule", "train", "test"]).to_pylist() == [
        {"rule": "sky", "train": "photo-0", "test": "photo-26"}
    ]


@pytest.mark.parametrize(
    ("rules", "kind", "said"),
    [
        (["nothing"], og.UnknownNameError, "nothing"),
        ([F("nothing")], og.UnknownNameError, "nothing"),
        ([7], og.QueryError, "cannot compare by 7"),
        ([], og.QueryError, "give rules="),
        ([F("a") + 1], og.QueryError, "cannot compare"),
    ],
)
def test_what_nothing_can_be_compared_by(db: og.Workspace, rules: Any, kind: type[og.OdinError], said: str) -> None:
    add_digits(db, 4)
    db.datasets.add("all", db.images())
    with pytest.raises(kind, match=said):
        db.leaks("all", "all", rules=rules)


def test_zero_and_minus_zero_are_one_value_of_a_field_and_nan_is_none(db: og.Workspace) -> None:
    pixels = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    db.images.add(images=pixels, ids=list("abcdef"), metadata={"x": [0.0, 1.0, 3.0, -0.0, 2.0, 3.0]}, progress=False)
    db._stores.graph.write("MATCH (i:Image {x: 3.0}) SET i.x = $nan", {"nan": math.nan})  # as another client may
    db.datasets.add("train", list("abc"), label=None)
    db.datasets.add("test", list("def"), label=None)
    (row,) = db.leaks("train", "test", rules=[F("x")]).to_arrow().to_pylist()
    assert (row["train"], row["test"]) == ("a", "d")


def test_lineage_that_another_client_drew_is_lineage(db: og.Workspace) -> None:
    """It has no HAS_ROOT beside it, which is a shortcut of ours."""
    add_digits(db, 3)
    ids = [image.id for image in db.images]
    draw = "MATCH (a:Image {id: $child}), (b:Image {id: $parent}) CREATE (a)-[:DERIVED_FROM]->(b)"
    db.cypher(draw, child=ids[0], parent=ids[1], write=True)
    for name, id_ in zip(("child", "parent", "other"), ids, strict=True):
        db.datasets.add(name, db.images([id_]))
    assert db.leaks("parent", "child", rules=["lineage"]).counts["lineage"]["pairs"] == 1
    assert not db.leaks("parent", "other", rules=["lineage"])


def test_an_experiment_warns_or_refuses_when_it_starts(db: og.Workspace) -> None:
    add_digits(db, 20)
    db.datasets.add("train", db.images()[:12])
    db.datasets.add("test", db.images()[10:])
    db.datasets.add("other", db.images()[12:16])
    with pytest.warns(og.LeakWarning, match="2 of 10 test images leak"), db.run(id="leaky", train="train", test="test"):
        pass
    (kept,) = db.experiment("leaky").known_leaks
    assert (kept["train"], kept["test"]) == ("train@1", "test@1")
    assert kept["rules"]["lineage"] == {"pairs": 2, "test images": 2, "training images": 2}
    with pytest.raises(og.LeakError, match="2 of 10 test images leak"):
        db.run(id="strict", train="train", test="test", strict=True)
    assert "strict" not in db.experiments
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with db.run(id="clean", train="train", test="other", strict=True):
            pass
    assert db.experiment("clean").known_leaks == []


def test_every_use_of_a_test_set_is_counted(db: og.Workspace) -> None:
    add_digits(db, 20)
    db.datasets.add("train", db.images()[:10])
    db.datasets.add("test", db.images()[10:])
    used = {"a": None, "b": "a", "c": None, "d": "b"}
    for id_, source in used.items():
        with db.run(id=id_, train="train", test=None if id_ == "b" else "test", informed_by=source):
            pass
    db.datasets.add("test", db.images()[11:], revise=True)
    with db.run(id="e", train="train", test="test@2", informed_by="c"):
        pass
    uses = db.datasets["test"].test_uses()
    rows = {row["experiment"]: row for row in uses.to_arrow().to_pylist()}
    assert list(rows) == ["a", "b", "c", "d", "e"]
    assert [rows[id_]["use"] for id_ in rows] == [1, None, 2, 3, 4]
    assert {id_: row["descends_from"] for id_, row in rows.items()} == {
        "a": [], "b": ["a"], "c": [], "d": ["a"], "e": ["c"],
    }  # fmt: skip
    assert rows["e"]["datasets"] == ["test@2"]
    assert len(uses) == 4
    assert uses.tuned == ("b", "d", "e")
    assert "test was used as a test set by 4 experiments" in str(uses)
    assert "descends from a, which had seen it" in str(uses)
    assert len(db.datasets["train"].test_uses()) == 0
