"""Images whose pixels are not there: every call that would read them names the image and says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.errors import DataError, StoreError
from odin_graph.objects.layers.layer import Layer
from tests.stored import filled

pytestmark = pytest.mark.one_engine  # files of pixels, which no graph has


@dataclass(frozen=True)
class World:
    """A workspace with an image without pixels."""

    db: og.Workspace
    layer: Layer
    bad: str
    folder: Path

    @property
    def query(self) -> og.Query:
        """Three images, one of them without pixels."""
        return self.db.images([self.bad, "scan000.png", "scan003.png"])

    @property
    def image(self) -> og.Image:
        return self.db.image(self.bad)


@pytest.fixture(params=["made by another client", "files gone"])
def world(db: og.Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> World:
    filled(db, example.build, experiments=1)
    layer = db.experiment("small-cnn/1").layer("features")
    if request.param == "made by another client":
        db.cypher("CREATE (:Image {id: 'half', key: 900000, label: 'DME', site: 'Lima'})", write=True)
        return World(db, layer, "half", tmp_path)
    db.images.add(images=np.full((1, 9, 9), 7, np.uint8), ids=["gone"], labels=["DME"], metadata={"site": ["Lima"]})
    key = db.image("gone").key
    (segment,) = [one for one in db._stores.columns.segments("pixels") if one.min_key == key == one.max_key]
    shutil.rmtree(db._stores.arrays.raw.path(segment.uri))
    db.datasets.add("with gone", db.images(["gone", "scan000.png", "scan001.png"]))
    return World(db, layer, "gone", tmp_path)


def mean(image: og.Image) -> float:
    return float(image.pixels.mean())


CALLS: dict[str, Callable[[World], Any]] = {
    "pixels": lambda w: w.image.pixels,
    "overview": lambda w: w.image.overview,
    "crop": lambda w: w.image.crop((0, 0, 2, 2)),
    "image.sheet": lambda w: w.image.sheet(),
    "image.save": lambda w: w.image.save(w.folder / "x.png"),
    "top_units": lambda w: w.image.top_units(w.layer),
    "sheet": lambda w: w.query.sheet(),
    "save": lambda w: w.query.save(w.folder / "x.png"),
    "to_torch": lambda w: list(w.query.to_torch()),
    "to_torch with a model": lambda w: list(w.query.to_torch(model="small-cnn")),
    "loader": lambda w: list(w.query.loader(2)),
    "loader with workers": lambda w: list(w.query.loader(2, workers=1)),
    "loader of a stream": lambda w: list(w.query.loader(2, stream=True)),
    "to_stream": lambda w: list(w.query.resize(8).to_stream()),
    "batches": lambda w: list(w.query.batches(2)),
    "to_numpy": lambda w: w.query.to_numpy(),
    "resize": lambda w: w.query.resize(4).to_numpy(),
    "resize.sheet": lambda w: w.query.resize(4).sheet(),
    "query.crop": lambda w: w.query.crop((0, 0, 4, 4)).to_numpy(),
    "apply": lambda w: w.query.apply(np.flipud).to_numpy(),
    "store": lambda w: w.query.resize(4).store("small"),
    "patches": lambda w: w.query.patches(4).to_numpy(),
    "patches.sheet": lambda w: w.query.patches(4).sheet(),
    "patches.loader": lambda w: list(w.query.patches(4).loader(2)),
    "patches.store": lambda w: w.query.patches(4).store("tile"),
    "map": lambda w: w.query.map(mean),
    "map by": lambda w: w.query.map(lambda images: mean(images[0]), group_by="site"),
    "embeddings": lambda w: w.layer.embeddings(w.query),
    "nearest": lambda w: w.query.nearest("scan002.png", by=w.layer, k=2).to_arrow(),
    "nearest to it": lambda w: w.db.images("retina-test").nearest(w.bad, by=w.layer, k=2).to_arrow(),
    "near_duplicates": lambda w: w.query.near_duplicates(by=w.layer, within=0.1).to_arrow(),
    "outliers": lambda w: w.query.outliers(by=w.layer, k=1).to_arrow(),
    "cluster": lambda w: w.query.cluster(by=w.layer, k=2).to_arrow(),
    "representative": lambda w: w.query.representative(1, by=w.layer).to_arrow(),
    "activations.add": lambda w: w.db.activations.add(w.layer, w.query),
    "materialize": lambda w: w.layer.materialize(w.query),
    "units.values": lambda w: w.layer.units[[0, 1]].values(w.query),
    "units.top": lambda w: w.layer.units[0].top(1, w.query).to_arrow(),
    "where a unit": lambda w: w.query.where(w.layer.units[0] > 0).to_arrow(),
    "stats": lambda w: w.layer.stats(w.query),
    "selectivity": lambda w: w.layer.selectivity(w.query, group_by="site"),
    "similar_units": lambda w: w.layer.similar_units(w.query),
}
OF_A_DATASET: dict[str, Callable[[World], Any]] = {
    "predict": lambda w: w.db.experiment("small-cnn/1").predict("with gone"),
    "materialize": lambda w: w.layer.materialize("with gone"),
    "leaks": lambda w: w.db.leaks("with gone", "retina-test", rules=["near"]),
    "leaks by a layer": lambda w: w.db.leaks("with gone", "retina-test", rules=[w.layer]),
    "export as folders": lambda w: w.db.dataset("with gone").export(w.folder / "a", format="folder"),
    "export as webdataset": lambda w: w.db.dataset("with gone").export(w.folder / "b", format="webdataset"),
    "export as parquet": lambda w: w.db.dataset("with gone").export(w.folder / "c", format="parquet"),
    "loader": lambda w: list(w.db.dataset("with gone").loader(2)),
}


def test_whatever_reads_pixels_names_the_image(world: World) -> None:
    """And what is asked of the other images is answered."""
    calls = CALLS if world.bad == "half" else CALLS | {f"data set: {name}": call for name, call in OF_A_DATASET.items()}
    for name, call in calls.items():
        with pytest.raises((StoreError, DataError)) as caught:
            call(world)
        said = str(caught.value)
        assert repr(world.bad) in said, f"{name}: {said}"
        assert "odin doctor" in said or "Leave it out" in said, f"{name}: {said}"
    whole = world.db.images(["scan000.png", "scan001.png"])
    assert whole.to_numpy().shape == (2, 8, 8, 1)
    assert len(world.layer.embeddings(whole)) == 2
    report = world.db.doctor()
    assert world.bad in str(report) or "segment" in str(report)


def test_looking_at_such_an_image_raises_nothing(world: World) -> None:
    assert world.bad in repr(world.image)
    assert world.bad in world.image._repr_html_()
    assert world.bad in world.query._repr_html_()
    if world.bad == "half":
        assert repr(world.image) == "Image('half': no pixels, label 'DME')"
        for name in ("shape", "dtype", "digest"):
            with pytest.raises(StoreError, match="The image 'half' has no"):
                getattr(world.image, name)


def test_images_are_added_and_mended_beside_it(world: World) -> None:
    """Files that are gone keep nobody from adding others, though small segments are made one then."""
    for place in range(3):
        world.db.images.add(images=np.full((1, 8, 8), place, np.uint8), ids=[f"new{place}"], labels=["DME"])
    assert world.db.image("new1").pixels[0, 0, 0] == 1
    mended = world.image.revise(np.full((8, 8), 9, np.uint8))
    assert world.db.image(mended.id).pixels[0, 0, 0] == 9
    assert world.image.delete(force=True).deleted == {"Image": 1}
