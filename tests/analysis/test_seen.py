"""Judging by what was learned from, and choosing by what judges: said whenever it happens, and kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import odin_graph as og
from odin_graph import F
from odin_graph.address import Address
from tests.kept import kept
from tests.workspaces import connect

NAMES = [f"i{n:02}" for n in range(12)]


class Net(nn.Module):
    """Two classes of images of 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


@kept
def world(db: og.Workspace) -> og.Workspace:
    """``parent`` learned from i00 to i05, and ``child`` goes on from it with i06 and i07."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 4, 4), dtype=np.uint8)
    db.images.add(images=pixels, ids=NAMES, labels=["a", "b"] * 6, progress=False)
    for id_, first, end in (("old", 0, 6), ("new", 6, 8), ("clean", 8, 12)):
        db.datasets.add(id_, NAMES[first:end])
    db.datasets.add("seen", ["i05", *NAMES[8:]])
    db.models.add("net", Net, input_shape=(1, 4, 4), classes=["a", "b"], preprocess=[og.ops.ToFloat()])
    for id_, train, source in (("parent", "old", None), ("child", "new", "parent")):
        with db.run("net", id=id_, train=train, informed_by=source) as run:
            run.add_checkpoint(Net())
            run.predict("clean", progress=False)
    return db


def said_by(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in found if issubclass(one.category, og.LeakWarning)]


def test_what_a_model_or_its_ancestor_learned_from_is_said_and_kept(world: og.Workspace, address: Address) -> None:
    child = world.experiment("child")
    (first,) = said_by(lambda: child.predict("seen", progress=False))
    assert "parent, which child continues, learned from old@1" in first
    assert "by lineage 1 images of it" in first
    assert said_by(lambda: child.predict("seen", progress=False)) == [first], "also where it was predicted before"
    assert said_by(lambda: child.results("seen")) == [first]
    assert "parent, which child continues, learned from old@1" in str(child.results("seen"))
    assert any("learned from old@1" in note for note in child.results("seen").to_json()["notes"])
    world.experiment("parent").predict("seen", progress=False)
    assert len(said_by(lambda: world.compare("child", "parent", on="seen"))) == 2
    assert "parent learned from old@1" in str(world.compare("child", "parent", on="seen"))
    (kept,) = [held for held in child.known_leaks if held["test"] == "seen@1"]
    assert kept["train"] == "old@1"
    assert kept["rules"]["lineage"]["test images"] == 1
    assert said_by(lambda: child.results("clean")) == []
    assert said_by(lambda: world.compare("child", "parent", on="clean")) == []
    with connect(address) as again:
        assert said_by(lambda: again.experiment("child").results("seen")) == [first]


def test_what_only_a_loader_gave_was_learned_from_too(world: og.Workspace, address: Address) -> None:
    with world.run("net", id="m", validation="new", test="clean") as run:
        assert said_by(lambda: run.loader(world.images("clean"), 4)) == [], "the role says what it is for"
        assert said_by(lambda: run.loader(world.images(NAMES[:3]), 4)) == []
        world.images(["i09"]).rotate(90).store("turned", progress=False)
        (first,) = said_by(lambda: run.loader(world.images(["i00", "i09#turned"]), 4))
        assert (
            "m learned from run.loader of m (4 images), which has in common with clean@1: by lineage 1 images" in first
        )
        assert said_by(lambda: run.loader(world.images(["i00", "i09#turned"]), 4)) == [], "nothing new"
        run.add_checkpoint(Net())
        assert said_by(lambda: run.predict("clean", progress=False)) == [first]
    with world.run("net", id="after", informed_by="m") as run:
        run.add_checkpoint(Net())
        (said,) = said_by(lambda: run.predict("seen", progress=False))
    assert "m, which after continues, learned from run.loader of m (4 images)" in said
    assert [held["train"] for held in world.experiment("m").known_leaks] == ["run.loader of m (4 images)"]
    with connect(address) as again:
        assert said_by(lambda: again.experiment("m").results("clean")) == [first]
        assert again.doctor().sound


def test_a_strict_run_refuses_a_loader_of_what_is_to_judge_it(world: og.Workspace) -> None:
    world.images(["i09"]).rotate(90).store("turned", progress=False)
    with world.run("net", id="m", train="new", test="clean", strict=True) as run:
        with pytest.raises(og.LeakError, match=r"run\.loader of m \(2 images\) .* clean@1(?s:.*)Load other images"):
            run.loader(world.images(["i00", "i09#turned"]), 4)
        assert run.metrics().num_rows == 0
        assert said_by(lambda: run.loader(world.datasets["new"], 4)) == []
    assert world.experiment("m").known_leaks == []
    assert len(world.experiment("m").loaders) == 1, "what was refused is not recorded"


def test_a_leaderboard_says_so_too(world: og.Workspace) -> None:
    assert said_by(lambda: world.experiments.where(F("results.accuracy") >= 0).count()) == []
    with world.run("net", id="late", train="old", test="seen") as run:
        run.add_checkpoint(Net())
        run.predict("seen", progress=False)
    (said,) = said_by(lambda: world.experiments.where(F("results.accuracy") >= 0).count())
    assert "results.accuracy is evaluated on images that were learned from" in said
    assert "for late over seen@1: db.experiment(id).known_leaks" in said


@pytest.mark.parametrize("how", ["new pixels", "a crop", "the same pixels"])
def test_another_image_of_the_same_picture_is_seen_too(world: og.Workspace, how: str) -> None:
    if how == "new pixels":
        world.image("i06").revise(np.zeros((4, 4), np.uint8))
        other = "i06@2"
    elif how == "a crop":
        world.images(["i06"]).rotate(90).store("turned", progress=False)
        other = "i06#turned"
    else:
        world.images.add(images=world.image("i06").pixels[None], ids=["twin"], labels=["a"], progress=False)
        other = "twin"
    world.datasets.add("others", [other, *NAMES[8:]])
    with pytest.warns(og.LeakWarning, match=r"child learned from new@1, which has in common with others@1"):
        world.experiment("child").predict("others", progress=False)


def test_a_split_that_is_drawn_anew_is_told_of(world: og.Workspace) -> None:
    """Images of the training set that come to the test set by a new draw are known to the model that is judged."""
    every = world.datasets.add("every", NAMES)
    parts = every.split({"train": 0.5, "test": 0.5})
    with world.run("net", id="m", train=parts["train"], test=parts["test"]) as run:
        run.add_checkpoint(Net())
    assert said_by(lambda: world.experiment("m").predict(parts["test"], progress=False)) == []
    other = every.split({"train": 0.5, "test": 0.5}, seed=1, redraw=True)
    assert len(said_by(lambda: world.experiment("m").predict(other["test"], progress=False))) == 1


CHOICES: list[tuple[str, list[dict[str, float]], bool | str, bool]] = [
    ("a metric of the test set", [{"test_acc": 0.5}], True, True),
    ("named", [{"test/acc": 0.5, "val/acc": 0.4}], "test/acc", True),
    ("a metric of validation", [{"test_acc": 0.5, "val_acc": 0.4}], True, False),
    ("validation is named", [{"test/acc": 0.5, "val/acc": 0.4}], "val/acc", False),
    ("of training", [{"loss": 0.5}], True, False),
    ("a word that only holds it", [{"latest_loss": 0.5}], True, False),
    ("words written as one", [{"testAcc": 0.5}], True, True),
    ("words without a capital", [{"testacc": 0.5}], "testacc", True),
    ("another word for it", [{"held_out_f1": 0.5}], True, True),
    ("the name of the data set", [{"clean accuracy": 0.5}], True, True),
    ("a word that holds the name of the data set", [{"unclean": 0.5}], True, False),
    ("none is best", [{"test_acc": 0.5}], False, False),
]


@pytest.mark.parametrize(("why", "logged", "best", "told"), CHOICES, ids=[case[0] for case in CHOICES])
def test_a_best_checkpoint_that_the_test_set_chose(
    world: og.Workspace, why: str, logged: list[dict[str, float]], best: bool | str, told: bool
) -> None:
    with world.run("net", id="m", train="old", validation="new", test="clean") as run:
        for metrics in logged:
            run.log(metrics)
        found = said_by(lambda: run.add_checkpoint(Net(), best=best))
    assert bool(found) == told, why
    uses = world.datasets["clean"].test_uses()
    rows = {row["experiment"]: row["chose"] for row in uses.to_arrow().to_pylist()}
    assert [name for name, chose in rows.items() if chose] == (["m"] if told else [])
    assert uses.tuned == (("child", "m") if told else ("child",)), "child goes on from parent, which it judged"
    if told:
        assert "chose by it: best checkpoint m/" in str(uses)
        assert "Choose by a data set in the role validation" in found[0]


def test_a_best_one_is_named_by_a_metric_of_the_run(world: og.Workspace) -> None:
    with world.run("net", id="m", train="old") as run:
        with pytest.raises(og.UnknownNameError, match=r"metric 'val_loss'. There is: none yet. Log it before"):
            run.add_checkpoint(Net(), best="val_loss")
        run.log({"val_loss": 0.5, "acc": 0.1})
        with pytest.raises(og.UnknownNameError, match=r"'val_los'. Did you mean 'val_loss'\? .* acc, val_loss\."):
            run.add_checkpoint(Net(), best="val_los")
        assert world.experiment("m").checkpoints() == []
        first = run.add_checkpoint(Net(), best="val_loss")
    with world.run(id="m", resume=True) as run:
        assert run.add_checkpoint(Net(), best="val_loss").best, "logged before it was gone on with"
    assert first.best


def test_a_best_one_after_predictions_over_the_test_set(world: og.Workspace) -> None:
    torch.manual_seed(0)
    with world.run("net", id="m", train="old", test="clean") as run:
        assert said_by(lambda: run.add_checkpoint(Net(), best=True)) == []
        run.predict("clean", progress=False)
        (found,) = said_by(lambda: run.add_checkpoint(Net(), best=True))
    assert "its predictions over it came before" in found


@pytest.mark.parametrize(("metric", "told"), [("acc", True), ("val_acc", False), ("train_acc", False)])
def test_a_metric_that_names_no_set_after_predictions_over_the_test_set(
    world: og.Workspace, metric: str, told: bool
) -> None:
    with world.run("net", id="m", train="old", test="clean") as run:
        run.add_checkpoint(Net())
        run.predict("clean", progress=False)
        run.log({metric: 0.5})
        assert bool(said_by(lambda: run.add_checkpoint(Net(), best=metric))) == told


def test_a_data_set_that_judges_in_no_role_is_used_and_chooses_as_one_that_does(world: og.Workspace) -> None:
    """Early stopping by predictions over a set that nobody has declared as the test set."""
    with world.run("net", id="m", train="old") as run:
        run.add_checkpoint(Net())
        for _ in range(3):
            run.predict("clean", progress=False)
            run.log_predictions("clean", ["a"] * len(world.datasets["clean"]), classes=["a", "b"])
        run.predict("old", progress=False)
        (found,) = said_by(lambda: run.add_checkpoint(Net(), best=True))
    assert "clean@1 (its predictions over it came before)" in found
    uses = world.datasets["clean"].test_uses()
    row = next(row for row in uses.to_arrow().to_pylist() if row["experiment"] == "m")
    assert (row["use"], uses.tuned) == (3, ("child", "m"))
    assert row["predictions"] == 2, "the same predictions again are the same set"
    assert f"m, {row['predictions']} sets of predictions" in str(uses)
    assert len(world.datasets["old"].test_uses()) == 0, "it learned from this one"
