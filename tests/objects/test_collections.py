"""Collections speak the same words; data sets, drafts, reports and saved views are queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import ConflictError, DataError, QueryError, UnknownNameError
from odin_graph.objects.query.things import ThingQuery
from tests.kept import kept
from tests.stored import filled

KINDS = {
    "images": "Image",
    "datasets": "Dataset",
    "models": "Model",
    "experiments": "Experiment",
    "checkpoints": "Checkpoint",
    "predictions": "PredictionSet",
    "activations": "ActivationSet",
    "volumes": "Volume",
    "videos": "Video",
    "vectors": "VectorSet",
    "fields": "Field",
}


@kept
def clinic(db: og.Workspace) -> og.Workspace:
    """One thing of every kind at least."""
    filled(db, example.build, experiments=1)
    pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    db.volumes.add("brain", pixels, site="Lima", progress=False)
    db.videos.add("surgery", pixels + 1, fps=25, progress=False)
    db.activations.add(db.experiment("small-cnn/1").layer("features"), db.images("retina-test")[:4], progress=False)
    db.vectors.add("own", db.images()[:3], np.eye(3), progress=False)
    db.views.add("old", db.images.where(F("age") > 50))
    return db


def test_a_loop_gives_the_things_and_ids_their_ids(clinic: og.Workspace) -> None:
    for name, kind in KINDS.items():
        collection: Any = getattr(clinic, name)
        ids, things = collection.ids(), list(collection)
        assert things, name
        assert [thing.id for thing in things] == ids, name
        assert {type(thing).__name__ for thing in things} == {kind}, name
        assert len(collection) == len(ids) == len(collection.to_pandas()), name
        assert collection[ids[0]].id == ids[0], name
        assert ids[0] in collection, name
        assert things[0] in collection, name
        assert "nobody" not in collection, name
        assert 3 not in collection, name
        with pytest.raises(UnknownNameError):
            collection["nobody"]
    assert (clinic.views.ids(), len(clinic.views), "old" in clinic.views) == (["old"], 1, True)
    assert [type(query) for query in clinic.views] == [og.Query]


def test_where_gives_a_query_of_any_kind(clinic: og.Workspace) -> None:
    exp = clinic.experiment("small-cnn/1")
    assert clinic.images.where(F("age") > 50, label="DME").ids() == [
        image.id for image in clinic.images if image.label == "DME" and image.age is not None and image.age > 50
    ]
    assert clinic.images("retina-test").where(label=None).count() == 0
    found = clinic.checkpoints.where(experiment=exp)
    assert isinstance(found, ThingQuery)
    assert found.ids() == [made.id for made in exp.checkpoints()]
    assert clinic.predictions.where(experiment=exp, dataset="retina-test").ids() == [exp.predictions()[0].id]
    assert clinic.predictions.where(dataset=clinic.dataset("retina-test")).count() == 1
    assert clinic.experiments.where(model=clinic.model("small-cnn")).ids() == ["small-cnn/1"]
    assert clinic.experiments.where(group=None, state="finished").ids() == ["small-cnn/1"]
    assert clinic.activations.where(checkpoint=exp.best_checkpoint()).count() == 1
    assert clinic.images("retina-test").group_by("label").count().where(label="DME")[0]["n"] > 0
    assert clinic.images("retina-test").resize(4).where(label="DME").count() > 0
    with pytest.raises(UnknownNameError, match="Did you mean 'label'"):
        clinic.images.where(lable="DME")
    with pytest.raises(QueryError, match="at least one condition"):
        clinic.images.where()


def test_what_a_query_selects_is_updated_and_deleted(clinic: og.Workspace) -> None:
    done = clinic.experiments.where(state="finished").update(lr=0.5, twice=F("seed") * 2)
    assert done.updated == 1
    assert clinic.experiment("small-cnn/1").metadata["twice"] == 2 * clinic.experiment("small-cnn/1").seed
    before = len(clinic.images)
    assert clinic.volumes.where(site="Lima").delete().deleted == {"Volume": 1}
    assert (len(clinic.images), len(clinic.volumes)) == (before - 4, 0)
    clinic.volumes.undelete("brain")
    assert (len(clinic.images), clinic.volumes.ids()) == (before, ["brain"])
    assert clinic.volumes.delete(clinic.volumes["brain"]).deleted == {"Volume": 1}
    assert str(clinic.views.delete(["old"])) == "Deleted 1 View."
    assert str(clinic.vectors.delete(list(clinic.vectors))) == "Deleted 1 VectorSet."
    assert clinic.views.ids() == clinic.vectors.ids() == []
    assert clinic.doctor(deep=True).sound


def test_what_was_added_goes_on_as_a_query(db: og.Workspace) -> None:
    pixels = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    added = db.images.add(images=pixels[:4], ids=list("dcba"), labels=["x", "y"] * 2, progress=False)
    assert (added.added, added.images().ids()) == (4, list("dcba"))
    assert added.images().where(label="x").ids() == ["d", "b"]
    again = db.images.add(images=pixels, ids=list("dcbafe"), progress=False)
    assert (again.added, again.already_there, again.images().ids()) == (2, 4, list("dcbafe"))
    changed = db.images.add(images=[pixels[0] + 1, pixels[1]], ids=["d", "c"], on_conflict="revise", progress=False)
    assert changed.images().ids() == ["d@2", "c"]
    left_out = db.images.add(images=[pixels[0] + 2, pixels[1]], ids=["f", "c"], on_conflict="skip", progress=False)
    assert (left_out.others, left_out.images().ids()) == (["f"], ["c"])
    assert db.datasets.add("first", added.images()).ids() == list("dcba")


def test_a_data_set_is_a_query_of_its_images(clinic: og.Workspace) -> None:
    dataset, query = clinic.dataset("retina-test"), clinic.images("retina-test")
    same: dict[str, Callable[[Any], Any]] = {
        "where": lambda images: images.where(F("age") > 50, label="DME").ids(),
        "first": lambda images: images[0].id,
        "slice": lambda images: images[2:7:2].ids(),
        "loop": lambda images: [image.id for image in images],
        "len": len,
        "in": lambda images: (query[0] in images, query[0].id in images, "nobody" in images),
        "pandas": lambda images: images.to_pandas("id", "label").to_dict(),
        "order": lambda images: images.order_by(F("age")).limit(3).ids(),
        "groups": lambda images: images.group_by("label").agg(n=og.count()).to_pandas().to_dict(),
        "select": lambda images: images.select("id", "age").to_arrow().column_names,
        "pixels": lambda images: images.to_numpy().sum(),
        "union": lambda images: (images | query[:2]).ids(),
        "intersection": lambda images: (images & query[3:5]).ids(),
        "difference": lambda images: (images - query[3:]).ids(),
        "exactly one": lambda images: (images ^ query[3:]).ids(),
        "by name": lambda images: images.difference(query[3:]).ids(),
    }
    for name, ask in same.items():
        assert ask(dataset) == ask(query), name
    clinic.views.add("all", dataset)
    view: Any = clinic.views["all"]
    assert view.where(label="DME").ids() == dataset.where(label="DME").ids()
    assert (query[:3] | dataset).ids() == query.ids()
    assert clinic.experiments().using(dataset).ids() == ["small-cnn/1"]


def test_sets_of_labeled_images_keep_their_labels(clinic: og.Workspace) -> None:
    every = clinic.dataset("retina-test")
    parts = [clinic.datasets.add(f"part {n}", every[n::3]) for n in range(3)]
    clinic.labels.update(every[:6], "wrong")
    draft = (parts[0] | parts[1]) | parts[2]
    made = clinic.datasets.add("again", draft)
    assert sorted(zip(made.ids(), made.labels, strict=True)) == sorted(zip(every.ids(), every.labels, strict=True))
    assert ((parts[0] | parts[1]) - parts[0]).ids() == parts[1].ids()
    assert ((parts[0] | parts[1]) & "part 1").ids() == parts[1].ids()
    assert sorted(((parts[0] | parts[1]) ^ (parts[1] | parts[2])).ids()) == sorted(parts[0].ids() + parts[2].ids())
    assert (parts[0] | every[:3]).where(label="wrong").count() > 0, "with a query, the labels are those of today"
    with pytest.raises(QueryError, match="takes a data set or a query"):
        parts[0] | 3  # type: ignore[operator]
    with pytest.raises(DataError, match="label"):
        parts[0] | clinic.datasets.add("other", clinic.images(parts[0].ids()[:2]))
    assert clinic.doctor(deep=True).sound


def test_checkpoints_of_other_programs_are_added(clinic: og.Workspace) -> None:
    best = clinic.experiment("small-cnn/1").best_checkpoint()
    assert best is not None
    weights = best.weights()
    weights[next(iter(weights))] += 1
    made = clinic.checkpoints.add("small-cnn", weights, id="mine")
    assert (made.id, made.model, "mine" in clinic.checkpoints) == ("mine", "small-cnn", True)
    assert clinic.checkpoints.delete("mine").deleted["Checkpoint"] == 1
    with pytest.raises(ConflictError):
        clinic.checkpoints.add(clinic.model("small-cnn"), weights, id="mine")
    with pytest.raises(UnknownNameError, match="nobody"):
        clinic.checkpoints.add("nobody", weights)
