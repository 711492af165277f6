"""Versions: revised, compared, split, sampled, combined, verified; out to files and in again with the same digest."""

from __future__ import annotations

import json
import random
import tarfile
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.datasets.exchange import FORMATS, MANIFEST
from odin_graph.ingest.sampling import sample_positions
from odin_graph.ingest.split import split_positions
from tests.kept import kept
from tests.shares import share
from tests.workspaces import add_digits

Another = Callable[[], og.Workspace]
NUMBER = 30


@kept
def digits(db: og.Workspace) -> og.Workspace:
    """30 digits with patients, days and weights."""
    add_digits(db, NUMBER)
    ids = [f"digit/{n:06}" for n in range(NUMBER)]
    db.images.update(
        pd.DataFrame(
            {
                "id": ids,
                "patient": [f"p{n % 10}" for n in range(NUMBER)],
                "day": [datetime(2026, 1, 1 + n // 3) for n in range(NUMBER)],  # noqa: DTZ001 - as it is stored
                "weight": [1.0 + n for n in range(NUMBER)],
            }
        )
    )
    db.datasets.add("all", db.images())
    return db


def ids(thing: Any) -> list[str]:
    images = thing.images() if hasattr(thing, "images") else thing
    return images.to_arrow("id").column("id").to_pylist()


def test_revise_and_diff(digits: og.Workspace) -> None:
    first = digits.datasets.add("some", digits.images()[:10])
    new = first.revise(
        add=["digit/000020", "digit/000021"],
        remove=digits.images()[:2],
        relabel={"digit/000005": 77, "digit/000006": first.labels[6]},
    )
    assert (new.id, new.version) == ("some@2", 2)
    assert ids(new) == [f"digit/{n:06}" for n in (*range(2, 10), 20, 21)]
    assert new.labels[3] == 77
    assert first.id == "some@1"
    assert len(first) == 10
    changed = first.diff(new)
    assert changed.added == ("digit/000020", "digit/000021")
    assert changed.removed == ("digit/000000", "digit/000001")
    assert changed.relabeled == {"digit/000005": (first.labels[5], 77)}
    assert not changed.reordered
    assert str(changed).startswith("some@1 -> some@2: 2 added, 2 removed, 1 relabeled")
    assert Counter(changed.to_arrow().column("change").to_pylist()) == {"added": 2, "removed": 2, "relabeled": 1}
    assert not new.diff("some@2")
    back = new.diff(first)
    assert (back.added, back.removed) == (changed.removed, changed.added)
    other = first.revise(remove=["digit/000000"])
    rows = digits.cypher("MATCH (a:Dataset)-[:REVISION_OF]->(b) RETURN a.id AS a, b.id AS b ORDER BY a")
    assert list(rows) == [{"a": "some@2", "b": "some@1"}, {"a": other.id, "b": "some@1"}]
    assert first.revise(remove=["digit/000000"]).id == other.id, "the same again is the same version"
    turned = digits.datasets.add("turned", digits.images()[:10].order_by(F("key").desc()))
    assert first.diff(turned).reordered


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"remove": ["digit/000020"]}, "to be removed are not members"),
        ({"relabel": {"digit/000020": 1}}, "to be relabeled are not members"),
        ({"add": ["digit/000001"]}, "are members already"),
        ({"add": ["nothing"]}, "do not exist"),
        ({"add": ["digit/000020"], "labels": [1, 2]}, "2 labels given"),
        ({"relabel": {"digit/000001": "seven"}}, "several types"),
    ],
)
def test_revisions_that_are_refused(digits: og.Workspace, how: dict[str, Any], said: str) -> None:
    some = digits.datasets.add("some", digits.images()[:10])
    with pytest.raises(og.DataError, match=said):
        some.revise(**how)
    assert digits.datasets.ids() == ["all@1", "some@1"]


def test_what_a_query_would_give_today(digits: og.Workspace) -> None:
    low = digits.datasets.add("low", digits.images().where(F("label") < 5))
    assert not low.today()
    changed = ids(low)[0]
    high = digits.images().where(F("label") == 9).to_arrow("id").column("id")[0].as_py()
    digits.labels.update({changed: 8, high: 0})
    today = low.today()
    assert today.removed == (changed,)
    assert today.added == (high,)
    within = digits.datasets.add("within", digits.images("low").where(F("weight") > 3))
    assert not within.today()
    with pytest.raises(og.QueryError, match="not by a query"):
        digits.datasets.add("listed", ["digit/000001"]).today()


def test_set_operations(digits: og.Workspace) -> None:
    a = digits.datasets.add("a", digits.images()[:10])
    b = digits.datasets.add("b", digits.images()[6:14])
    keys = {"a": a.keys().tolist(), "b": b.keys().tolist()}
    for draft, expected in (
        (a | b, [*keys["a"], *keys["b"][4:]]),
        (a & b, keys["a"][6:]),
        (a - b, keys["a"][:6]),
        (a ^ b, [*keys["a"][:6], *keys["b"][4:]]),
    ):
        assert draft.images().keys().tolist() == expected
        assert len(draft) == len(expected)
    made = digits.datasets.add("both", a | b)
    assert made.labels == [*a.labels, *b.labels[4:]]
    assert made.id == digits.datasets.add("both", a | b).id == "both@1"
    rows = digits.cypher("MATCH (:Dataset {id: 'both@1'})-[r:DERIVED_FROM]->(d) RETURN d.id AS d, r.query AS q")
    assert rows[0]["d"] == "a@1"
    assert json.loads(rows[0]["q"])["op"] == "union"
    other = b.revise(relabel={"digit/000007": 55})
    with pytest.raises(og.DataError, match="1 images have another label in the second data set, first 'digit/000007'"):
        a | other
    assert len(a - other) == 6, "what is taken away needs no label"


def test_sets_of_two_worlds_do_not_mix(digits: og.Workspace, another: Another) -> None:
    with another() as other:
        add_digits(other, 5)
        there = other.datasets.add("all", other.images())
        for combine in ("__or__", "__and__", "__sub__", "__xor__", "diff"):
            with pytest.raises(og.MismatchError, match="different workspaces"):
                getattr(digits.datasets["all"], combine)(there)
        add_digits(other, NUMBER, prefix="again")
        again = other.datasets.add("again", [f"again/{n:06}" for n in range(NUMBER)])
        assert again.digest == digits.datasets["all"].digest, "equal content has an equal digest"
        assert str(digits.datasets["all"].verify(again)) == "all@1: equal"
        twisted = again.revise(relabel={"again/000003": 42})
        found = digits.datasets["all"].verify(twisted)
        assert not found
        assert "image 3, 'digit/000003': label" in str(found)
        assert "42 in again@2" in str(found)
        shorter = again.revise(remove=["again/000029"])
        assert "30 images here, 29 in" in str(digits.datasets["all"].verify(shorter))


def test_splits_by_time_and_folds(digits: og.Workspace) -> None:
    all_ = digits.datasets["all"]
    parts = all_.split({"old": 0.5, "new": 0.5}, time="day")
    days = {name: set(digits.images(part).to_arrow("day").column("day").to_pylist()) for name, part in parts.items()}
    assert max(days["old"]) < min(days["new"])
    assert len(parts["old"]) == len(parts["new"]) == 15
    folds = all_.kfold(5, group_by="patient", seed=3)
    assert [sorted(fold) for fold in folds] == [["test", "train"]] * 5
    tested = [key for fold in folds for key in fold["test"].keys().tolist()]
    assert sorted(tested) == sorted(all_.keys().tolist())
    for fold in folds:
        patients = [
            set(digits.images(part).to_arrow("patient").column("patient").to_pylist()) for part in fold.values()
        ]
        assert not patients[0] & patients[1]
        assert sorted([*fold["train"].keys(), *fold["test"].keys()]) == sorted(all_.keys().tolist())
    assert folds[0]["train"].id == "all/fold-1/train@1"
    assert [fold["test"].digest for fold in all_.kfold(5, group_by="patient", seed=3)] == [
        fold["test"].digest for fold in folds
    ]
    for how, said in (
        ({"k": 1}, "2 or more"),
        ({"k": 11, "group_by": "patient"}, "10 groups cannot be split into 11"),
        ({"k": 40}, "30 images cannot be split into 40 folds"),
    ):
        with pytest.raises(og.DataError, match=said):
            all_.kfold(**how)  # type: ignore[arg-type]
    with pytest.raises(og.UnknownNameError, match="nothing"):
        all_.split({"a": 0.5, "b": 0.5}, time="nothing")
    with pytest.raises(og.DataError, match="leave these out"):
        all_.split({"a": 0.5, "b": 0.5}, time="day", group_by="patient")


@given(times=st.lists(st.integers(0, 8), min_size=2, max_size=40), share=st.floats(0.2, 0.8))
def test_a_split_by_time_keeps_moments_together(times: list[int], share: float) -> None:
    try:
        parts = split_positions(len(times), {"old": share, "new": 1 - share}, time=times)
    except og.DataError:  # one moment holds so much that nothing is left for a part
        assert max(Counter(times).values()) > min(share, 1 - share) * len(times)
        return
    old, new = ([times[at] for at in parts[name]] for name in ("old", "new"))
    assert max(old) < min(new)
    assert len(old) + len(new) == len(times)
    largest = max(Counter(times).values())
    assert abs(len(old) - share * len(times)) <= largest / 2 + 1


def test_samples(digits: og.Workspace) -> None:
    all_ = digits.datasets["all"]
    some = all_.sample(12, seed=1)
    assert len(some) == len(set(some.members.keys.tolist())) == 12
    assert (
        some.members.keys.tolist()
        == all_.sample(12, seed=1).members.keys.tolist()
        != all_.sample(12).members.keys.tolist()
    )
    position = {key: at for at, key in enumerate(all_.keys().tolist())}
    assert [position[key] for key in some.members.keys.tolist()] == sorted(
        position[k] for k in some.members.keys.tolist()
    )
    labels = [all_.labels[position[key]] for key in some.members.keys.tolist()]
    assert digits.datasets.add("some", some).labels == some.labels == labels
    even = digits.datasets.add("even", all_.sample(10, balanced="label"))
    assert set(even.label_counts().values()) == {1}
    heavy = all_.sample(5, weights={0: 1000.0, **dict.fromkeys(range(1, 10), 0.001)})
    zeros = all_.label_counts()[0]
    assert Counter(heavy.labels)[0] >= min(zeros, 5) - 1
    assert len(all_.sample(5, weights="weight")) == 5
    for how, said in (
        ({"k": 31}, "31 of 30 images cannot be drawn"),
        ({"k": 30, "balanced": "patient", "weights": "weight"}, "not both"),
        ({"k": 60, "balanced": "label"}, "cannot be drawn"),
        ({"k": 3, "weights": {0: 1.0}}, "no positive weight"),
    ):
        with pytest.raises(og.DataError, match=said):
            all_.sample(**how)  # type: ignore[arg-type]


def test_a_balanced_sample_of_too_few(digits: og.Workspace) -> None:
    few = digits.datasets.add("few", digits.images()[:5])
    assert sorted(few.label_counts().values()) == [1, 4]
    with pytest.raises(og.DataError, match="4 images of 2 values are 2 of each, and there are only 1"):
        few.sample(4, balanced="label")


@given(values=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), data=st.data(), seed=st.integers(0, 5))
def test_a_sample_does_not_ask_for_the_order(values: list[str], data: st.DataObject, seed: int) -> None:
    n = len(values)
    number = data.draw(st.integers(1, n))
    names = [f"i{at:03}" for at in range(n)]
    shuffled = random.Random(seed).sample(range(n), n)
    weights = [1.0 + at for at in range(n)]
    for how in ({}, {"weights": weights}):
        moved = {name: [column[at] for at in shuffled] for name, column in how.items()}
        one = {names[at] for at in sample_positions(n, number, ids=names, seed=seed, **how)}
        other_names = [names[at] for at in shuffled]
        other = {other_names[at] for at in sample_positions(n, number, ids=other_names, seed=seed, **moved)}
        assert one == other
        assert len(one) == number


def test_tags_and_tables(digits: og.Workspace) -> None:
    all_ = digits.datasets["all"]
    digest = all_.digest
    assert all_.tag("gold", "2026", "gold") == ("gold", "2026")
    assert all_.untag("2026") == ("gold",)
    assert digits.datasets.where(F("tags").has("gold")).ids() == ["all@1"]
    assert digits.datasets.where(F("tags").has("silver")).ids() == []
    assert digits.datasets["all"].tags == ("gold",)
    assert digits.datasets["all"].digest == digest
    with pytest.raises(og.DataError, match="is not a tag"):
        all_.tag(" ")
    shown = repr(digits.datasets)
    assert shown.splitlines()[0].split()[:3] == ["id", "tags", "size"]
    assert "all@1" in shown
    assert digest[:12] in shown
    assert "gold" in shown
    assert "<table" in digits.datasets._repr_html_()


def test_verify_finds_what_was_changed(digits: og.Workspace) -> None:
    all_ = digits.datasets["all"]
    assert all_.verify()
    assert all_.verify(deep=True, progress=False)
    digits.cypher("MATCH (i:Image {id: 'digit/000004'}) SET i.digest = $d", d="0" * 64, write=True)
    assert "images or labels are others" in str(all_.verify())
    assert "the pixels of 'digit/000004' are others" in str(all_.verify(deep=True, progress=False))


@pytest.mark.parametrize("kind", FORMATS)
def test_out_and_in_again(db: og.Workspace, tmp_path: Path, kind: Any, another: Another) -> None:
    draw = np.random.default_rng(0)
    images = [
        (draw.random((5 + n % 3, 7, bands)) * 200).astype(dtype)
        for n, (dtype, bands) in enumerate((d, b) for d in ("uint8", "uint16", "float32") for b in (1, 3, 5))
    ]
    images.append(draw.random((4, 4, 1)) > 0.5)
    number = len(images)
    when = [datetime(2026, 1, 1 + n, 12) for n in range(number)]  # noqa: DTZ001 - as it is stored
    db.images.add(
        images=images,
        ids=[f"scan ü/{n}" for n in range(number)],
        labels=["DME/wet", "normal"] * (number // 2),
        metadata={"age": [n if n else None for n in range(number)], "at": when, "few": [["a", "b"]] * number},
        progress=False,
    )
    db.images.add(images=[images[0] + 1], ids=["scan ü/0"], labels=["normal"], on_conflict="revise", progress=False)
    made = db.datasets.add("clinic", db.images().order_by(F("key").desc()), label="label")
    path = made.export(tmp_path / kind, format=kind, progress=False)
    with pytest.raises(og.ConflictError, match="is not empty"):
        made.export(path, format=kind, progress=False)
    assert not list(tmp_path.glob(".*.part"))
    with another() as other:
        back = other.datasets.load(path, progress=False)
        assert (back.id, back.digest) == ("clinic@1", made.digest)
        assert other.datasets.load(path, progress=False).id == "clinic@1", "again is the same"
        assert back.verify(deep=True, progress=False)
        assert made.verify(back)
        for image, held in zip(made.images(), back.images(), strict=True):
            np.testing.assert_array_equal(image.pixels, held.pixels)
            assert image.pixels.dtype == held.pixels.dtype
            for name in ("label", "age", "at", "few"):
                assert image[name] == held[name]
    table = pq.read_table(path / MANIFEST)
    column = table.schema.get_field_index("label")
    twisted = table.set_column(column, "label", pa.array(["normal"] * table.num_rows))
    pq.write_table(twisted.replace_schema_metadata(table.schema.metadata), path / MANIFEST)
    with another() as third:
        with pytest.raises(og.StoreError, match="do not make the digest"):
            third.datasets.load(path, progress=False)
        assert len(third.datasets) == 0


def test_webdataset_is_what_others_read(digits: og.Workspace, tmp_path: Path) -> None:
    path = digits.datasets["all"].export(tmp_path / "tars", format="webdataset", progress=False)
    with tarfile.open(path / "000000.tar") as tar:
        names = tar.getnames()
        said = json.loads(tar.extractfile("000000003.json").read())  # type: ignore[union-attr]
    assert names[:4] == ["000000000.png", "000000000.json", "000000001.png", "000000001.json"]
    assert (said["id"], said["label"], said["patient"]) == ("digit/000003", digits.datasets["all"].labels[3], "p3")


def test_folders_of_classes_can_be_added_as_images(digits: og.Workspace, tmp_path: Path, another: Another) -> None:
    path = digits.datasets["all"].export(tmp_path / "folder", format="folder", progress=False)
    with another() as other:
        other.images.add(path / "images", progress=False)
        assert Counter(image.label for image in other.images) == Counter(map(str, digits.datasets["all"].labels))


def test_what_is_no_export(db: og.Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(og.DataError, match=r"has no manifest\.parquet"):
        db.datasets.load(tmp_path / "empty")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "empty" / MANIFEST)
    with pytest.raises(og.DataError, match="not the manifest"):
        db.datasets.load(tmp_path / "empty")
    add_digits(db, 3)
    with pytest.raises(og.DataError, match="not a format"):
        db.datasets.add("all", db.images()).export(tmp_path / "x", format="zip")  # type: ignore[arg-type]


@given(data=st.data())
@settings(max_examples=share(15))
def test_revisions_and_diffs_are_what_dicts_say(digits: og.Workspace, data: st.DataObject) -> None:
    """Any revision of any version: the diff of the two gives back what was asked for."""
    names = [f"digit/{n:06}" for n in range(NUMBER)]
    members = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    base = uuid.uuid4().hex
    first = digits.datasets.add(base, members)
    truth = dict(zip(members, first.labels, strict=True))
    remove = data.draw(st.lists(st.sampled_from(members), unique=True, max_size=len(members) - 1))
    rest = [name for name in members if name not in remove]
    relabel = {name: 50 + at for at, name in enumerate(data.draw(st.lists(st.sampled_from(rest), unique=True)))}
    others = [name for name in names if name not in members]
    add = data.draw(st.lists(st.sampled_from(others), unique=True)) if others else []
    second = first.revise(add=add, remove=remove, relabel=relabel)
    assert ids(second) == rest + add
    known = dict(zip(ids(digits.datasets["all"]), digits.datasets["all"].labels, strict=True))
    assert second.labels == [relabel.get(name, truth[name]) for name in rest] + [known[name] for name in add]
    found = first.diff(second)
    assert set(found.added) == set(add)
    assert set(found.removed) == set(remove)
    assert found.relabeled == {name: (truth[name], label) for name, label in relabel.items() if truth[name] != label}
