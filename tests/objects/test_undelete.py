"""Undelete: what was deleted is shown again as it was, whole; what is gone for good is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import ConflictError, QueryError, UnknownNameError
from odin_graph.catalog.doctor import examine

IDS = ["a", "b", "c", "d"]


@pytest.fixture
def world(db: og.Workspace) -> og.Workspace:
    """Four images, a data set of them, an experiment with predictions, and a volume."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 4), dtype=np.uint8)
    db.images.add(images=pixels, ids=IDS, labels=["x", "y"] * 2, progress=False)
    pilot = db.datasets.create("pilot", db.images())
    with db.run(id="e", test=pilot) as run:
        run.log_predictions(pilot, ["x"] * 4)
    db.volumes.add("head", np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5), progress=False)
    return db


def seen(db: og.Workspace) -> dict[str, Any]:
    """What readers show."""
    return {
        "images": db.images().to_pandas("id", "label").to_dict("list"),
        "members": db.images("pilot").keys().tolist() if "pilot" in db.datasets else None,
        "datasets": list(db.datasets),
        "experiments": list(db.experiments),
        "predictions": list(db.predictions),
        "volumes": list(db.volumes),
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
    assert str(report).startswith("Shown again: ")
    assert seen(world) == before
    assert str(bring(world)) == "Nothing was deleted: all of it is there."
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
