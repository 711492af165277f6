"""The four verbs: the same words on every kind; what is refused changes nothing."""

from __future__ import annotations

import getpass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.records import updates
from odin_graph.errors import ConflictError, DataError, FrozenError, MetadataError, StoreError, UnknownNameError
from tests.kept import kept

IDS = [f"i{number}" for number in range(8)]


@kept
def pets(db: og.Workspace) -> og.Workspace:
    """Eight images of two kinds, a frozen version of six, an experiment that predicted over it."""
    pixels = np.arange(8 * 16, dtype=np.uint8).reshape(8, 4, 4)
    db.images.add(images=pixels, ids=IDS, labels=["cat", "dog"] * 4, metadata={"age": list(range(8))})
    db.datasets.add("pets", db.images(IDS[:6]))
    exp = db.experiments.add("e/1", train="pets", params={"lr": 0.1}, metrics={"loss": 0.5}, site="Lima")
    db.predictions.add(exp, "pets", ["cat"] * 6)
    return db


def test_every_collection_knows_the_four_words(db: og.Workspace) -> None:
    for collection in (db.images, db.datasets, db.models, db.experiments, db.predictions, db.activations):
        for word in ("add", "where", "update", "delete", "ids"):
            assert callable(getattr(collection, word)), (collection, word)


@pytest.mark.parametrize(
    "table",
    [
        lambda rows: pd.DataFrame(rows),
        lambda rows: pd.DataFrame(rows).set_index("id"),
        lambda rows: pa.table(rows),
        lambda rows: rows,
        lambda rows: {
            id_: {"iop": iop, "eye": eye} for id_, iop, eye in zip(rows["id"], rows["iop"], rows["eye"], strict=True)
        },
    ],
)
def test_metadata_comes_from_tables_of_any_make(pets: og.Workspace, table: object) -> None:
    rows = {"id": ["i3", "i1"], "iop": [12.5, None], "eye": ["left", "right"]}
    assert pets.images.update(table(rows)).updated == 2  # type: ignore[operator]
    frame = pets.images(["i1", "i3", "i5"]).to_pandas("id", "iop", "eye", "age")
    assert frame["eye"].tolist()[:2] == ["right", "left"]
    assert frame["iop"].isna().tolist() == [True, False, True]
    assert frame["age"].tolist() == [1, 3, 5]


def test_a_missing_value_in_a_table_leaves_what_is_there_unless_told(pets: og.Workspace) -> None:
    rows = {"key": pets.images().keys()[:2].tolist(), "age": [None, 50]}
    pets.images.update(rows)
    assert [pets.image(id_).age for id_ in ("i0", "i1")] == [0, 50]
    pets.images.update(rows, missing="remove")
    assert pets.image("i0").age is None


def test_an_image_and_a_query_are_updated_by_keyword(pets: og.Workspace) -> None:
    image = pets.image("i2").update(age=33, seen=date(2026, 1, 2))
    assert (image.age, image["seen"]) == (33, date(2026, 1, 2))
    assert pets.image("i2").metadata == {"age": 33, "seen": date(2026, 1, 2)}
    assert image.update(age=None).metadata == pets.image("i2").metadata == {"seen": date(2026, 1, 2)}
    done = pets.images("pets").where(F("age") > 2).update(half=F("age") / 2, site="Lima")
    assert (done.updated, set(done.fields)) == (3, {"half", "site"})
    assert [pets.image(id_)["half"] for id_ in ("i1", "i3", "i5")] == [None, 1.5, 2.5]


def test_what_is_wrong_with_one_row_changes_no_row(pets: og.Workspace) -> None:
    before = pets.images().to_pandas()
    with pytest.raises(MetadataError, match=r"Image.age is int, and a value of it is string"):
        pets.images.update({"id": IDS, "site": ["Lima"] * 8, "age": [*range(7), "old"]})
    with pytest.raises(MetadataError, match="a property of ours"):
        pets.images.update({"id": IDS, "digest": ["x"] * 8})
    with pytest.raises(MetadataError, match=r"db\.labels\.update"):
        pets.images.update({"id": IDS, "label": ["cat"] * 8})
    with pytest.raises(DataError, match="1 ids do not exist, first 'nobody'"):
        pets.images.update({"id": ["i0", "nobody"], "site": ["Lima", "Bonn"]})
    with pytest.raises(UnknownNameError, match="1 of 2 images do not exist"):
        pets.images.update({"key": [int(pets.image("i0").key), 10**9], "site": ["Lima", "Bonn"]})
    for key in (1.5, True, "1", float("inf"), 10**30):  # the key of another image, when it is cut
        with pytest.raises(DataError, match="is not a key of an image"):
            pets.images.update({"key": [key], "iop": [1.0]})
    with pytest.raises(DataError, match="contains half a character"):
        pets.images.update({"i1": {"eye": "\ud800"}})
    with pytest.raises(DataError, match="1 things are in the update twice"):
        pets.images.update({"id": ["i0", "i0"], "site": ["Lima", "Bonn"]})
    with pytest.raises(DataError, match="'site' has 1 values, and there are 2 rows"):
        pets.images.update({"id": ["i0", "i1"], "site": ["Lima"]})
    with pytest.raises(DataError, match="give a column 'id' or 'key'"):
        pets.images.update({"path": ["i0"], "site": ["Lima"]})
    pd.testing.assert_frame_equal(pets.images().to_pandas(), before)


def test_more_than_one_transaction_holds_can_be_repeated(pets: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "AT_ONCE", 3)
    frame = pd.DataFrame({"id": IDS, "score": [0.5 * number for number in range(8)]})
    write, calls = updates._write, []

    def fail_at_the_third(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise StoreError("the power is gone")
        write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(updates, "_write", fail_at_the_third)
        with pytest.raises(StoreError):
            pets.images.update(frame)
    assert pets.images().to_arrow("score").column("score").null_count == 2
    assert pets.images.update(frame).updated == 8
    assert pets.images().to_pandas("score")["score"].tolist() == frame["score"].tolist()


def test_metadata_of_the_other_kinds(pets: og.Workspace) -> None:
    things = [pets.experiments["e/1"], pets.datasets["pets"], pets.experiments["e/1"].predictions()[0]]
    for thing in things:
        before = dict(thing.metadata)
        assert thing.update(good=True, grade=1).update({"grade": 2.5}).metadata == {
            **before,
            "good": True,
            "grade": 2.5,
        }
        assert thing.update(grade=None).metadata == {**before, "good": True}
    assert pets.experiments.where(F("good"), site="Lima").ids() == ["e/1"]
    assert pets.datasets.where(F("size") > 5, F("good")).ids() == ["pets@1"]
    assert pets.predictions.where(experiment="e/1", dataset="pets", good=True).ids() == [things[2].id]
    assert pets.predictions.where(experiment="e/2").ids() == []
    pets.experiments.update({"id": ["e/1"], "lr": [0.1]})
    frame = pets.experiments.where(F("lr") < 1).to_pandas()
    assert frame[["id", "lr", "site"]].values.tolist() == [["e/1", 0.1, "Lima"]]
    assert pets.experiments().update(note="seen").updated == 1
    assert pets.experiments["e/1"].metadata["note"] == "seen"
    assert examine(pets._stores).sound


def test_select_refuses_what_it_does_not_know(pets: og.Workspace) -> None:
    with pytest.raises(UnknownNameError, match=r"There is no field of Experiment 'sit'. Did you mean 'site'\?"):
        pets.experiments.where(sit="Lima")
    with pytest.raises(og.ExpressionError):
        pets.experiments.where(F("site") > 3)
    assert pets.images("pets").where(F("age") > 3).to_pandas("id")["id"].tolist() == ["i4", "i5"]
    assert len(pets.images.where(F("age") > 3)) == 4


def test_a_frozen_version_keeps_its_images_unless_forced(pets: og.Workspace) -> None:
    digest = pets.datasets["pets"].digest
    with pytest.raises(FrozenError, match=r"^The image is in the data set version pets@1\. Nothing was deleted\."):
        pets.image("i0").delete()
    with pytest.raises(FrozenError, match="Of 8 images 6 are in the data set version pets@1"):
        pets.images().delete()
    assert len(pets.images()) == 8
    report = pets.images(["i0", "i7"]).delete(why="blurred", who="Ann", force=True)
    assert report.deleted == {"Image": 2}
    assert report.used == ("1 is in the data set version pets@1",)
    held = pets.datasets["pets"]
    assert (held.digest, held.size, len(held), held.deleted_members()) == (digest, 6, 5, ["i0"])
    assert held.ids() == [image.id for image in held] == held.images().ids() == IDS[1:6]
    assert "1 of them deleted since" in repr(held)
    assert examine(pets._stores, deep=True).sound


def test_next_versions_and_parts_leave_out_what_was_deleted(pets: og.Workspace) -> None:
    pets.image("i0").delete(force=True)
    pets.image("i1").purge(force=True)
    held = pets.datasets["pets@1"]
    assert held.revise().images().to_pandas("id")["id"].tolist() == IDS[2:6]
    parts = held.split({"a": 0.5, "b": 0.5})
    assert sorted(id_ for part in parts.values() for id_ in part.images().to_pandas("id")["id"]) == IDS[2:6]
    assert len(held.sample(4)) == 4
    assert examine(pets._stores, deep=True).sound


def test_no_reader_shows_what_was_deleted_and_lineage_tells(pets: og.Workspace) -> None:
    key = pets.image("i7").key
    pets.image("i7").delete(why="blurred")
    assert len(pets.images()) == len(pets.images) == 7
    with pytest.raises(DataError, match="do not exist, or were deleted"):
        pets.images([key])
    assert pets.images(cypher="MATCH (i:Image) RETURN i").count() == 7
    for ask in (lambda: pets.image("i7"), lambda: pets.images["i7"]):
        with pytest.raises(UnknownNameError):
            ask()
    with pytest.raises(DataError, match="do not exist"):
        pets.images(["i7"])
    with pytest.raises(DataError):
        pets.datasets.add("others", [key])
    rows = pets.cypher(
        "MATCH (i:Image {id: 'i7'})-[:INVALIDATED_BY]->(x) RETURN x.why AS why, x.who AS who, x.at AS at"
    )
    assert (rows[0]["why"], rows[0]["who"]) == ("blurred", getpass.getuser())
    assert "Nothing was deleted" in str(pets.images.delete("i7"))
    with pytest.raises(UnknownNameError, match="do not exist, first 'nobody'"):
        pets.images.delete(["i1", "nobody"])


def test_what_was_deleted_does_not_come_back_unasked(pets: og.Workspace) -> None:
    pixels = pets.image("i7").pixels
    pets.image("i7").delete()
    with pytest.raises(ConflictError, match="Deleted before: 'i7'"):
        pets.images.add(images=[pixels], ids=["i7"])
    assert pets.images.add(images=[pixels], ids=["i7"], on_conflict="skip").added == 0
    assert pets.images.add(images=[pixels], ids=["i7"], on_conflict="revise").revised == 1
    assert examine(pets._stores, deep=True).sound


def test_data_sets_experiments_and_their_parts(pets: og.Workspace) -> None:
    with pytest.raises(FrozenError, match=r"Dataset 'pets@1' is used by the experiment e/1; is predicted by"):
        pets.datasets["pets"].delete()
    said = pets.experiments["e/1"].predictions()
    report = pets.experiments["e/1"].delete(why="wrong seed")
    assert report.deleted == {"Experiment": 1, "PredictionSet": 1}
    assert pets.experiments.ids() == pets.predictions.ids() == []
    assert "0 experiments" in repr(pets)
    for ask in (lambda: pets.experiments["e/1"], lambda: pets.predictions[said[0].id]):
        with pytest.raises(UnknownNameError):
            ask()
    with pytest.raises(ConflictError, match=r"Experiment 'e/1' was deleted by .*: wrong seed"):
        pets.run(id="e/1")
    pets.datasets["pets"].delete()
    assert pets.datasets.ids() == []
    with pytest.raises(UnknownNameError):
        pets.images("pets")
    again = pets.datasets.add("pets", pets.images(IDS[:6]))
    assert again.id == "pets@2"
    pets.images().where(F("age") > 6).delete()
    assert examine(pets._stores, deep=True).sound


def test_a_running_experiment_is_not_deleted(pets: og.Workspace) -> None:
    with pets.run(id="e/2", train="pets"), pytest.raises(ConflictError, match="is being written by process"):
        pets.experiments.delete("e/2")
    assert pets.experiments.delete(["e/2"]).deleted == {"Experiment": 1}


def test_new_pixels_with_channels_first_are_remarked_on(pets: og.Workspace) -> None:
    turned = np.zeros((3, 20, 20), np.uint8)
    image = next(iter(pets.images()))
    with pytest.warns(og.errors.LayoutWarning, match=r"give np\.moveaxis\(image, 0, -1\)"):
        image.revise(turned)
    with pytest.warns(og.errors.LayoutWarning, match=r"1 images, first .* have shape \(3, 20, 20\)"):
        pets.images.revise([image.id], [turned + 1])


def test_new_pixels_are_a_revision_with_its_metadata(pets: og.Workspace) -> None:
    old = pets.image("i2")
    new = old.revise(old.pixels + 1, age=3)
    assert (new.id, new.label, new.age) == ("i2@2", "cat", 3)
    np.testing.assert_array_equal(new.pixels, old.pixels + 1)
    (third, same) = pets.images.revise(["i2@2", "i3"], [old.pixels + 2, pets.image("i3").pixels])
    assert (third.id, third.age, same.id) == ("i2@3", 3, "i3")
    rows = pets.cypher("MATCH (:Image {id: 'i2@3'})-[:REVISION_OF*]->(i) RETURN i.id AS id ORDER BY id")
    assert [row["id"] for row in rows] == ["i2", "i2@2"]
    with pytest.raises(UnknownNameError, match="images to revise are not there, first 'nobody'"):
        pets.images.revise(["nobody"], [old.pixels])


def test_a_set_is_refused_where_each_of_it_has_a_value(db: og.Workspace) -> None:
    """Its order is another one in each process, so that vectors, predictions and values would change images."""
    db.images.add(images=np.eye(8, dtype=np.uint8).reshape(2, 4, 8), ids=["a", "b"], labels=["x", "y"], progress=False)
    db.datasets.add("d", db.images())
    with db.run(id="e", test="d"):
        pass
    for ask in (
        lambda: db.vectors.add("own", {"a", "b"}, np.eye(2)),
        lambda: db.images.update({"id": {"a", "b"}, "age": [1, 2]}),
        lambda: db.experiment("e").log_predictions("d", ["x", "y"], images={"a", "b"}),
    ):
        with pytest.raises(og.DataError, match="is a set, which has no order: give a list"):
            ask()


def test_what_is_no_id_parameter_or_metric_of_a_run(db: og.Workspace) -> None:
    for id_ in (5, "", " "):
        with pytest.raises(og.DataError, match="is not an experiment id"), db.run(id=id_):  # type: ignore[arg-type]
            pass
    with pytest.raises(og.DataError, match="Parameters have names"), db.run(id="e", params="lr"):  # type: ignore[arg-type]
        pass
    with db.run(id="f") as run, pytest.raises(og.DataError, match="'loss' is too large for a float"):
        run.log({"loss": 10**400}, step=0)
