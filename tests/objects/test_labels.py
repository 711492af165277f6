"""Label corrections: today's truth changes, its history stays, nothing frozen does."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.client import LocalSession
from odin_graph.errors import ConflictError, DataError, MetadataError
from tests.kept import kept
from tests.shares import share

IDS = [f"i{number}" for number in range(6)]


@kept
def pets(db: og.Workspace) -> og.Workspace:
    pixels = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    db.images.add(images=pixels, ids=IDS, labels=["cat", "dog"] * 3, metadata={"age": list(range(6))})
    return db


def today(db: og.Workspace) -> dict[str, object]:
    return {row["id"]: row["label"] for row in db.images().to_arrow("id", "label").to_pylist()}


def test_labels_come_as_a_table_a_dict_or_a_query_with_a_value(pets: og.Workspace) -> None:
    done = pets.labels.update(pd.DataFrame({"id": ["i0", "i1"], "label": ["dog", "dog"]}), why="second reading")
    assert (done.changed, done.unchanged) == (1, 1)
    pets.labels.update({"i2": "bird"}, who="Ann")
    pets.labels.update(pets.images().where(F("age") > 4), "fish")
    pets.labels.update("i3", None)
    assert today(pets) == {"i0": "dog", "i1": "dog", "i2": "bird", "i3": None, "i4": "cat", "i5": "fish"}
    (row,) = pets.labels.history("i0").to_dict("records")
    assert (row["who"], row["before"], row["after"], row["why"]) == (getpass.getuser(), "cat", "dog", "second reading")
    assert abs(row["at"].to_pydatetime() - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=5)
    assert len(pets.labels.history("i1")) == 0
    pets.labels.update(pets.image("i2"), "cat", who="Bo")
    assert pets.labels.history(pets.images(["i2", "i5"]))[["image", "who", "before", "after"]].values.tolist() == [
        ["i2", "Ann", "cat", "bird"],
        ["i5", getpass.getuser(), "dog", "fish"],
        ["i2", "Bo", "bird", "cat"],
    ]
    assert examine(pets._stores).sound


def test_what_cannot_be_a_label_changes_none(pets: og.Workspace) -> None:
    before = today(pets)
    with pytest.raises(MetadataError, match=r"Image.label is string, and a value of it is int"):
        pets.labels.update({"i0": 3})
    with pytest.raises(DataError, match="do not exist"):
        pets.labels.update({"i0": "dog", "nobody": "dog"})
    with pytest.raises(ConflictError, match="No label was changed"):
        pets.labels.update({"key": [pets.image("i0").key, 10**9], "label": ["dog", "dog"]})
    with pytest.raises(DataError, match="twice"):
        pets.labels.update(pd.DataFrame({"id": ["i0", "i0"], "label": ["dog", "cat"]}))
    with pytest.raises(DataError, match="needs the label too"):
        pets.labels.update("i0")
    with pytest.raises(DataError, match="no column 'label'"):
        pets.labels.update(pd.DataFrame({"id": ["i0"], "truth": ["dog"]}))
    assert today(pets) == before
    assert len(pets.labels.history(IDS)) == 0


def test_a_correction_makes_results_stale_and_changes_no_frozen_one(pets: og.Workspace) -> None:
    train = pets.datasets.add("train", pets.images(IDS[:3]))
    test = pets.datasets.add("test", pets.images(IDS[2:]))
    other = pets.datasets.add("ages", pets.images(IDS), label="age")
    exp = pets.experiments.add("e", train=train, uses={"shown": test})
    pets.experiments.add("f", train=other)
    said = exp.log_predictions(test, ["cat"] * 4).id
    wrong = pets.predictions[said].to_arrow().column("wrong").to_pylist()
    frozen = {held.id: (held.digest, held.labels) for held in (train, test, other)}
    assert not pets.labels.stale()
    assert str(pets.labels.stale()) == "Nothing is stale: every frozen label is today's."

    pets.labels.update({"i0": "dog", "i2": "dog", "i5": "cat"})
    stale = pets.labels.stale()
    assert stale.datasets == {"test@1": 2, "train@1": 2}
    assert stale.prediction_sets == {said: "test@1"}
    assert stale.experiments == {"e": {"train@1": "train", "test@1": "shown"}}
    assert stale.labels.select(["image", "dataset", "frozen", "today"]).to_pylist() == [
        {"image": "i2", "dataset": "test@1", "frozen": "cat", "today": "dog"},
        {"image": "i5", "dataset": "test@1", "frozen": "dog", "today": "cat"},
        {"image": "i0", "dataset": "train@1", "frozen": "cat", "today": "dog"},
        {"image": "i2", "dataset": "train@1", "frozen": "cat", "today": "dog"},
    ]
    assert f"{said}: evaluated with the labels of test@1" in str(stale)
    assert {id_: (pets.dataset(id_).digest, pets.dataset(id_).labels) for id_ in frozen} == frozen
    assert pets.predictions[said].to_arrow().column("wrong").to_pylist() == wrong
    assert pets.images("test").to_pandas("label")["label"].tolist() == ["cat", "dog", "cat", "dog"]

    later = pets.datasets.add("later", pets.images(IDS))
    pets.labels.update({"i0": "cat", "i2": "cat", "i5": "dog"})
    assert pets.labels.stale().datasets == {later.id: 3}, "what was corrected back is today's again"
    assert examine(pets._stores, deep=True).sound


@settings(max_examples=share(10))
@given(
    rounds=st.lists(
        st.dictionaries(st.sampled_from(IDS), st.sampled_from(["cat", "dog", "bird", None]), min_size=1), max_size=4
    )
)
def test_the_history_replayed_gives_todays_labels(engine: object, rounds: list[dict[str, str | None]]) -> None:
    """Whatever is corrected in whatever order: from the first labels and the history come today's."""
    import tempfile
    from pathlib import Path

    from odin_graph.stores import Stores

    engine.wipe()  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        stores = Stores.open(engine.address(Path(folder) / "arrays"))  # type: ignore[attr-defined]
        with og.Workspace(LocalSession(stores)) as db:
            stores.keep()
            db.images.add(images=np.zeros((6, 2, 2), np.uint8), ids=IDS, labels=["cat", "dog"] * 3)
            truth: dict[str, object] = today(db)
            replayed = dict(truth)
            for corrections in rounds:
                done = db.labels.update(corrections)
                assert done.changed == sum(truth[id_] != label for id_, label in corrections.items())
                truth.update(corrections)
            assert today(db) == truth
            for row in db.labels.history(IDS).itertuples():
                before = None if pd.isna(row.before) else row.before
                assert replayed[row.image] == before
                replayed[row.image] = None if pd.isna(row.after) else row.after
            assert replayed == truth
