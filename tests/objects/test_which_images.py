"""Every call that takes images takes every way to say images, and sees the same ones."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from torch import nn

import odin_graph as og
from odin_graph import F
from odin_graph.errors import DataError, OdinError, QueryError
from tests.kept import kept

N = 6
SEVERAL: dict[str, Callable[[og.Workspace], Any]] = {
    "query": lambda db: db.images().where(F("n") < 3),
    "view": lambda db: db.views["few"],
    "data set": lambda db: db.datasets["few"],
    "data set's id": lambda db: "few",
    "version's id": lambda db: "few@1",
    "draft": lambda db: db.datasets["few"].sample(3, seed=0),
    "images": lambda db: list(db.images("few")),
    "ids": lambda db: [f"image/{n:06}" for n in range(3)],
    "keys": lambda db: db.images("few").keys().tolist(),
    "mixed": lambda db: ["image/000000", db.image("image/000001"), int(db.image("image/000002").key)],
    "key array": lambda db: db.images("few").keys(),
    "int32 array": lambda db: db.images("few").keys().astype(np.int32),
    "id array": lambda db: np.array([f"image/{n:06}" for n in range(3)]),
    "series of ids": lambda db: db.images("few").to_pandas("id")["id"],
    "column of keys": lambda db: db.images("few").to_arrow().column("key"),
    "array of ids": lambda db: pa.array([f"image/{n:06}" for n in range(3)]),
    "tuple": lambda db: tuple(f"image/{n:06}" for n in range(3)),
    "set": lambda db: {f"image/{n:06}" for n in range(3)},
    "generator": lambda db: (image for image in db.images("few")),
}
ONE: dict[str, Callable[[og.Workspace], Any]] = {
    "image": lambda db: db.image("image/000000"),
    "id": lambda db: "image/000000",
    "key": lambda db: int(db.image("image/000000").key),
    "NumPy key": lambda db: np.int64(db.image("image/000000").key),
}
NOT: dict[str, Any] = {
    "none": [None],
    "a bool": [True],
    "a float": [1.5],
    "no such id": ["nobody"],
    "no such key": [10**9],
    "a table": pd.DataFrame({"id": ["image/000000"]}),
    "an object": object(),
}
DESTROYS = ("delete", "purge")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(16, 3)
        self.last = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.last(self.features(x.flatten(1)))


def layer(db: og.Workspace) -> Any:
    return db.experiment("net/1").layer("features")


def added(db: og.Workspace, images: Any) -> Any:
    db.vectors.add("mine", images, np.ones((3, 2), np.float32))
    return sorted(db.images().keys()[:N].tolist()) and len(db.vectors["mine"])


def asked(report: Callable[[], Any]) -> Any:
    """The rows of a report; of too few images the refusal."""
    try:
        return len(report().to_pandas())
    except OdinError as error:
        return str(error)


CALLS: dict[str, Callable[[og.Workspace, Any], Any]] = {
    "images": lambda db, images: sorted(db.images(images).keys().tolist()),
    "create": lambda db, images: len(db.datasets.add(uuid.uuid4().hex, images)),
    "revise": lambda db, images: len(db.datasets["rest@1"].revise(add=images)),
    "impact": lambda db, images: db.impact(images).counts,
    "history": lambda db, images: len(db.labels.history(images)),
    "labels.update": lambda db, images: db.labels.update(images, "b").changed,
    "delete": lambda db, images: (db.images.delete(images, force=True), len(db.images))[1],
    "purge": lambda db, images: len(db.images.purge(images, dry_run=True).images),
    "materialize": lambda db, images: len(layer(db).materialize(images, progress=False)),
    "embeddings": lambda db, images: layer(db).embeddings(images, progress=False).shape,
    "stats": lambda db, images: len(layer(db).stats(images).to_pandas()),
    "selectivity": lambda db, images: asked(lambda: layer(db).selectivity(images, group_by="label")),
    "affinity": lambda db, images: asked(lambda: layer(db).affinity({"n": F("n")}, images=images)),
    "values": lambda db, images: layer(db).units[[0, 1]].values(images).shape,
    "top": lambda db, images: layer(db).units[0].top(2, images).count(),
    "unusual": lambda db, images: len(db.image("image/000005").unusual_units(layer(db), images, 2).to_pandas()),
    "activations": lambda db, images: len(db.activations.add(layer(db), images)),
    "vectors.add": added,
}


@kept
def world(db: og.Workspace) -> og.Workspace:
    pixels = np.random.default_rng(0).integers(0, 255, (N, 4, 4), dtype=np.uint8)
    db.images.add(images=pixels, labels=["a", "b"] * 3, metadata={"n": list(range(N))}, progress=False)
    db.views.add("few", db.images().where(F("n") < 3))
    few = db.datasets.add("few", db.images().where(F("n") < 3))
    db.datasets.add("rest", db.images().where(F("n") >= 3))
    model = db.models.add("net", Net, classes=["a", "b"], input_shape=(1, 4, 4), preprocess=["to-float"])
    with db.run(model, train=few) as run:
        run.add_checkpoint(Net())
    return db


def call(db: og.Workspace, name: str, images: Any) -> Any:
    """What a call says, with what it wrote taken away again."""
    found = CALLS[name](db, images)
    if name == "delete":
        db.images.undelete([f"image/{n:06}" for n in range(N)])
    if name == "labels.update":
        db.labels.update({f"image/{n:06}": "ab"[n % 2] for n in range(N)})
    return found


@pytest.mark.parametrize("name", [name for name in CALLS if name != "history"])
def test_every_way_to_say_images_is_the_same(world: og.Workspace, name: str) -> None:
    """Several images, and one, in every form: the answer is that of the query."""
    expected = call(world, name, SEVERAL["query"](world))
    for form, images in SEVERAL.items():
        if name in DESTROYS and form.endswith("id"):  # a string is an image there: a data set is not lost by its id
            with pytest.raises(OdinError):
                call(world, name, images(world))
            continue
        if name == "vectors.add" and form == "set":  # each image has a vector, and a set no order
            with pytest.raises(og.DataError, match="is a set, which has no order"):
                call(world, name, images(world))
            continue
        assert call(world, name, images(world)) == expected, form
    if name == "vectors.add":
        return
    one = call(world, name, world.images().where(F("n") == 0))
    for form, images in ONE.items():
        if name == "images" and form == "id":  # db.images("x") is the data set x
            continue
        assert call(world, name, images(world)) == one, form


@pytest.mark.parametrize("name", ["impact", "delete", "embeddings", "labels.update", "stats", "create", "vectors.add"])
def test_what_is_no_image_is_refused_in_words(world: og.Workspace, name: str) -> None:
    for what, images in NOT.items():
        with pytest.raises((DataError, QueryError)):
            CALLS[name](world, images)
        assert len(world.images) == N, what
    with pytest.raises(QueryError, match="are not stored: store them first"):
        CALLS[name](world, world.images().center_crop(2))


def test_an_image_and_a_data_set_of_one_name(world: og.Workspace) -> None:
    """A string that is both is said to be so."""
    world.images.add(images=np.zeros((1, 4, 4), np.uint8), ids=["few"], progress=False)
    with pytest.raises(QueryError, match="'few' is an image and a data set"):
        world.impact("few")
    world.images.delete("few")
    assert sorted(world.datasets["few"].images().to_pandas("id")["id"]) == [f"image/{n:06}" for n in range(3)]


def test_a_deleted_image_is_said_to_be_deleted(world: og.Workspace) -> None:
    """Who asks for it by id hears when it went, by whom, why, and how it comes back; the count of others is right."""
    world.images.delete("image/000005", why="blurred", who="Ann", force=True)
    for ask in (lambda: world.image("image/000005"), lambda: world.impact("image/000005")):
        with pytest.raises(OdinError) as caught:
            ask()
        assert "The image 'image/000005' was deleted by Ann at 20" in str(caught.value)
        assert "UTC: blurred." in str(caught.value)
        assert "db.images.undelete('image/000005')" in str(caught.value)
    world.images.add(images=np.zeros((1_580 - N + 1, 1, 1), np.uint8), prefix="more", progress=False)
    with pytest.raises(og.UnknownNameError, match=r"and 1,560 more\."):
        world.image("nobody")


def test_history_is_in_the_order_of_the_corrections(world: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose clock is slow corrects last, and is last in the history."""
    from odin_graph.catalog.images import labels

    at = labels.now()
    for hours, label in enumerate(["c", "d", "e"]):
        monkeypatch.setattr(labels, "now", lambda late=hours: at - pd.Timedelta(hours=late).to_pytimedelta())
        world.labels.update(["image/000000", "image/000001"], label)
    history = world.labels.history("few")
    assert history[history["image"] == "image/000000"]["after"].tolist() == ["c", "d", "e"]
    assert history["after"].tolist() == ["c", "c", "d", "d", "e", "e"]
    assert history["at"].is_monotonic_decreasing


def test_half_made_images_of_another_client_are_named(world: og.Workspace) -> None:
    """An image without pixels cannot be frozen, and one without a key not be opened: both are said, by name."""
    world.cypher("CREATE (:Image {id: 'half', key: 900000})", write=True)
    world.cypher("MATCH (i:Image {id: 'image/000005'}) REMOVE i.key", write=True)
    with pytest.raises(DataError, match="1 of 6 images have no pixels, first 'half'"):
        world.datasets.add("all", world.images(), label=None)
    with pytest.raises(QueryError, match="has no key"):
        world.image("image/000005")
    assert len(world.datasets.add("whole", world.images().where(~F("digest").is_null()), label=None)) == 5
