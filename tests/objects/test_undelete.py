"""Undelete: what was deleted is shown again as it was, whole; what is gone for good is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import ConflictError, QueryError, UnknownNameError
from odin_graph.catalog.doctor.doctor import examine
from tests.kept import kept

IDS = ["a", "b", "c", "d"]


@kept
def world(db: og.Workspace) -> og.Workspace:
    """Four images, a data set of them, an experiment with predictions, and a volume."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 4), dtype=np.uint8)
    db.images.add(images=pixels, ids=IDS, labels=["x", "y"] * 2, progress=False)
    pilot = db.datasets.add("pilot", db.images())
    with db.run(id="e", test=pilot) as run:
        run.log_predictions(pilot, ["x"] * 4)
    db.volumes.add("head", np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5), progress=False)
    return db


def seen(db: og.Workspace) -> dict[str, Any]:
    """What readers show."""
    return {
        "images": db.images().to_pandas("id", "label").to_dict("list"),
        "members": db.images("pilot").keys().tolist() if "pilot" in db.datasets else None,
        "datasets": db.datasets.ids(),
        "experiments": db.experiments.ids(),
        "predictions": db.predictions.ids(),
        "volumes": db.volumes.ids(),
        "deletions": len(db.deletions()),
    }


def delete_images(db: og.Workspace) -> None:
    db.images.delete(["a", "c"], force=True)


def bring_images(db: og.Workspace) -> Any:
    return db.images.undelete(["a", "c"])


CASES: dict[str, tuple[Any, Any]] = {
    "images": (delete_images, bring_images),
    "a data set": (
        lambda db: db.datasets.delete("pilot@1", force=True),
        lambda db: db.datasets.undelete("pilot@1"),
    ),
    "an experiment with what it said": (
        lambda db: db.experiments.delete("e", force=True),
        lambda db: db.experiments.undelete("e"),
    ),
    "a prediction set": (
        lambda db: db.predictions.delete("e/predictions/1"),
        lambda db: db.predictions.undelete("e/predictions/1"),
    ),
    "a volume with its slices": (lambda db: db.volumes.delete("head"), lambda db: db.volumes.undelete("head")),
}


@pytest.mark.parametrize(("delete", "bring"), CASES.values(), ids=CASES)
def test_what_was_deleted_is_shown_again_as_it_was(world: og.Workspace, delete: Any, bring: Any) -> None:
    before = seen(world)
    delete(world)
    assert seen(world) != before
    report = bring(world)
    assert str(report).startswith("Restored: ")
    assert seen(world) == before
    assert str(bring(world)) == "Nothing was deleted, so there is nothing to restore."
    assert examine(world._stores, deep=True).sound
    delete(world)  # and once more, since nothing of the first time is left
    bring(world)
    assert seen(world) == before


def test_an_object_that_was_kept_brings_itself_back(world: og.Workspace) -> None:
    image, pilot, exp = world.image("a"), world.datasets["pilot"], world.experiment("e")
    for thing in (image, pilot, exp):
        thing.delete(force=True)
        thing.undelete()
    assert world.images("pilot").count() == 4
    assert world.experiment("e").results("pilot").accuracy == 0.5


def test_what_cannot_come_back_is_refused_and_nothing_changes(world: og.Workspace) -> None:
    world.images.delete(["b"], force=True)
    world.images.purge(["a"], force=True)
    with pytest.raises(ConflictError, match="purged, first 'a'"):
        world.images.undelete(["a", "b"])
    assert "b" not in world.images().to_pandas("id")["id"].tolist(), "all or nothing"
    with pytest.raises(UnknownNameError, match="'nobody'"):
        world.images.undelete(["nobody"])
    with pytest.raises(UnknownNameError, match="pilot@9"):
        world.datasets.undelete("pilot@9")
    world.experiments.delete("e", force=True)
    with pytest.raises(ConflictError, match="of the experiment 'e', which is deleted"):
        world.predictions.undelete("e/predictions/1")
    with pytest.raises(QueryError, match="computed again"):
        world.activations.undelete(["any"])


OLD: dict[str, list[Any]] = {
    "the same": [1, None, 3, 4],
    "to text": [1, 2, None, 4],
    "to float": [1, 2, 3, None],
    "to int": ["1", "+2", None, "4"],
    "to bool": [0, 1, 1, None],
    "free": [[1, 2], [], None, [3]],
}
NEW: dict[str, Any] = {"the same": 5, "to text": "x", "to float": 0.5, "to int": 7, "to bool": True}
AFTER: dict[str, list[Any]] = {
    "the same": [1, None, 3, 4],
    "to text": ["1", "2", None, "4"],
    "to float": [1.0, 2.0, 3.0, None],
    "to int": [1, 2, None, 4],
    "to bool": [False, True, True, None],
    "free": [[1, 2], [], None, [3]],
}


def test_values_whose_field_has_another_type_by_now(db: og.Workspace) -> None:
    """They are converted, without losing a digit, or nothing comes back; never are they read as missing."""
    pixels = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    db.images.add(images=pixels[:4], ids=IDS, metadata=OLD, progress=False)
    db.images.delete(IDS)
    db.images.add(images=pixels[4:], ids=["new"], metadata={n: [v] for n, v in NEW.items()}, progress=False)
    assert db.images.update({"new": {"free": "text"}}).updated == 1
    db.images.update({"new": {"free": None}}, missing="remove")
    report = db.images.undelete(IDS)
    assert report.restored == {"Image": 4}
    assert report.converted == {"Image.to text": 3, "Image.to float": 3, "Image.to int": 3, "Image.to bool": 3}
    assert "converted to the type of today: 3 of Image." in str(report)
    rows = {image.id: image for image in db.images()}
    for name, values in AFTER.items():
        assert [rows[id_][name] for id_ in IDS] == values, name
        assert rows["new"][name] == NEW.get(name)
    assert [type(rows["a"]["to bool"]), type(rows["a"]["to float"])] == [bool, float]
    assert db.images().where(og.F("to text") == "2").count() == 1
    assert db.doctor(deep=True).sound


def test_values_that_fit_no_more_keep_all_of_it_deleted(db: og.Workspace) -> None:
    pixels = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    db.images.add(images=pixels[:2], ids=["a", "b"], metadata={"age": ["NA", "12"], "n": [1, 2]}, progress=False)
    db.images.delete(["a", "b"])
    db.images.add(images=pixels[2:], ids=["c"], metadata={"age": [7], "n": [3]}, progress=False)
    with pytest.raises(ConflictError, match=r"Image.age is int by now, and 1 values .*'NA'.*retype\('age', str\)"):
        db.images.undelete(["a", "b"])
    assert [image.id for image in db.images()] == ["c"]
    db.fields.retype("age", str)
    assert db.images.undelete(["a", "b"]).restored == {"Image": 2}
    assert db.images().order_by(og.F("id")).to_arrow("age").column("age").to_pylist() == ["NA", "12", "7"]
    assert db.doctor(deep=True).sound


def test_a_float_field_takes_no_integer_that_it_would_cut(db: og.Workspace) -> None:
    pixels = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    db.images.add(images=pixels[:1], ids=["a"], metadata={"n": [2**53 + 1]}, progress=False)
    db.images.delete(["a"])
    db.images.add(images=pixels[1:], ids=["b"], metadata={"n": [0.5]}, progress=False)
    with pytest.raises(ConflictError, match=str(2**53 + 1)):
        db.images.undelete(["a"])
