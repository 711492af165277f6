"""Lazy operations, stored derivatives and mapped functions, on real images."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor
from PIL import Image as PillowImage
from skimage import data as skimage_data

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.ops import OPS, CenterCrop, Geometry, Pipeline, Resize, ToGrayscale
from odin_graph.query.plan.plan import AllImages, Plan
from odin_graph.runtime.derive.function import source_digest
from odin_graph.stores import Stores
from tests.kept import kept

data: Any = skimage_data
PHOTOGRAPHS = {"astronaut": data.astronaut, "chelsea": data.chelsea, "coffee": data.coffee, "rocket": data.rocket}


def darker(pixels: np.ndarray) -> np.ndarray:
    return pixels // 2


def brightness(image: og.Image) -> float:
    return float(image.pixels.mean())


@kept
def db(db: og.Workspace) -> og.Workspace:
    """Photographs of four sizes, one of 16 bits, labeled, with metadata."""
    images: list[Any] = [take() for take in PHOTOGRAPHS.values()]
    images.append((data.camera().astype(np.uint16) * 257)[::2, ::2])
    db.images.add(
        images=images,
        ids=[*PHOTOGRAPHS, "camera"],
        labels=["person", "cat", "thing", "thing", "person"],
        metadata={"n": [1, 2, 3, 4, 5], "site": ["a", "a", "b", None, "b"]},
    )
    return db


def edges(db: og.Workspace) -> list[dict[str, Any]]:
    said = db.images()._stores.graph.read(
        "MATCH (d:Image)-[e:DERIVED_FROM]->(p:Image) MATCH (d)-[:HAS_ROOT]->(r:Image) "
        "RETURN d.id AS id, p.id AS parent, r.id AS root, e.op AS op, e.params AS params, e.code AS code ORDER BY id"
    )
    return list(said)


def same(found: og.Query, expected: dict[str, np.ndarray]) -> None:
    held = {image.id: image for image in found}
    assert sorted(held) == sorted(expected)
    for id_, pixels in expected.items():
        assert held[id_].dtype == pixels.dtype
        np.testing.assert_array_equal(held[id_].pixels, pixels)


@pytest.mark.one_engine  # nothing is stored
def test_lazy_pixels_are_those_of_the_operations_one_by_one(db: og.Workspace) -> None:
    lazy = db.images().order_by(F("n").desc()).resize(size=64).center_crop(size=(48, 32))
    assert len(lazy) == 5
    before = {image.id: image for image in db.images()}
    for made in lazy:
        expected = CenterCrop(size=(48, 32))(Resize(size=64)(before[made.parent.id].pixels))
        np.testing.assert_array_equal(made.pixels, expected)
        assert made.pixels.dtype == before[made.parent.id].dtype
        assert made.label == before[made.parent.id].label
    assert [made.parent.id for made in lazy] == ["camera", "rocket", "coffee", "chelsea", "astronaut"]
    assert lazy[1].parent.id == "rocket"
    assert [made.parent.id for made in lazy[:2]] == ["camera", "rocket"]
    assert [made.parent.id for made in lazy.where(F("label") == "cat")] == ["chelsea"]
    assert len(db.images()) == 5, "nothing is stored"


@pytest.mark.one_engine  # nothing is stored
def test_resize_is_pillows(db: og.Workspace) -> None:
    expected = np.asarray(PillowImage.fromarray(data.chelsea()).resize((80, 60), PillowImage.Resampling.BILINEAR))
    made = db.images().where(F("label") == "cat").resize(size=(60, 80))[0].pixels
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_it_is_looked_at_and_trained_on_as_it_is(db: og.Workspace, tmp_path: Path) -> None:
    lazy = db.images().where(F("n") < 5).resize(size=(24, 32))
    assert lazy.save(tmp_path / "sheet.png").stat().st_size > 1000
    assert lazy[0].save(tmp_path / "one.png").stat().st_size > 1000
    torch_set = pickle.loads(pickle.dumps(lazy.to_torch()))
    assert [tuple(pixels.shape) for pixels, _ in torch_set.__getitems__([0, 1, 2, 3])] == [(3, 24, 32)] * 4
    for position, made in enumerate(lazy):
        pixels, _ = torch_set[position]
        np.testing.assert_array_equal(np.moveaxis(pixels.numpy(), 0, -1), made.pixels.astype(np.float32))


def test_stored_images_have_lineage_and_what_they_inherit(db: og.Workspace) -> None:
    stored = db.images().resize(size=64).store("small")
    before = {image.id: image.pixels for image in db.images().where(F("width") > 100)}
    same(stored, {f"{id_}#small": Resize(size=64)(pixels) for id_, pixels in before.items()})
    for image in stored:
        assert image.parent is not None
        assert (image.label, image["n"], image["site"]) == (image.parent.label, image.parent["n"], image.parent["site"])
    assert {(row["id"], row["parent"], row["root"]) for row in edges(db)} == {
        (f"{id_}#small", id_, id_) for id_ in before
    }
    for row in edges(db):
        assert row["op"] == "resize"
        assert json.loads(row["params"]) == {"size": 64, "method": "bilinear"}
        assert row["code"].startswith("odin-graph ")
    assert db.images["chelsea"].descendants().ids() == ["chelsea#small"]


def test_chains_keep_the_first_root(db: og.Workspace) -> None:
    """HAS_ROOT is the closure over DERIVED_FROM, however the chain was cut into calls."""
    first = db.images().where(F("n") < 3).resize(size=64).store("a")
    second = first.center_crop(size=32).store("b")
    second.to_grayscale().resize(size=16).store("c")
    rows = {row["id"]: row for row in edges(db)}
    assert len(rows) == 6
    for row in rows.values():
        above = row["parent"]
        while above in rows:
            above = rows[above]["parent"]
        assert row["root"] == above
    last = rows["chelsea#a#b#c"]
    assert last["op"] == "pipeline"
    assert Pipeline.from_json(last["params"]) == Pipeline((ToGrayscale(), Resize(size=16)))
    assert {image.id for image in db.images(cypher="MATCH (i:Crop) RETURN i")} == {"astronaut#a#b", "chelsea#a#b"}


def test_asked_again_it_computes_nothing(db: og.Workspace) -> None:
    lazy = db.images().resize(size=20)
    first = db.images().where(F("n") > 3).resize(size=20).derive("tiny")
    assert (first.computed, first.found) == (2, 0)
    second = lazy.derive("tiny")
    assert (second.computed, second.found) == (3, 2)
    before = [(image.key, image.created_at) for image in lazy.store("tiny")]
    third = lazy.derive("tiny")
    assert (third.computed, third.found) == (0, 5)
    assert [(image.key, image.created_at) for image in lazy.store("tiny")] == before
    assert examine(db.images()._stores, deep=True).sound


def test_other_parameters_are_another_name(db: og.Workspace) -> None:
    db.images().resize(size=20).store("tiny")
    with pytest.raises(og.ConflictError, match=r"were made in another way than resize.*another name"):
        db.images().resize(size=21).store("tiny")
    db.images.add(images=[np.zeros((4, 4), np.uint8)], ids=["chelsea#mine"])
    with pytest.raises(og.ConflictError, match="added as an image"):
        db.images().where(F("n") == 2).resize(size=21).store("mine")


def test_what_was_deleted_stays_deleted(db: og.Workspace) -> None:
    db.images().resize(size=20).store("tiny")
    db.images["chelsea#tiny"].delete()
    report = db.images().where(F("n") < 6, F("width") > 100).resize(size=20).derive("tiny")
    assert (report.computed, report.found, report.deleted) == (0, 4, 1)


def test_a_data_sets_frozen_labels_are_inherited(db: og.Workspace) -> None:
    db.datasets.add("all", db.images())
    db.labels.update({"chelsea": "dog"})
    labels = {image.id: image.label for image in db.images("all").resize(size=8).store("frozen")}
    assert labels["chelsea#frozen"] == "cat"
    (today,) = db.images().where(F("id") == "chelsea").resize(size=8).store("today", metadata=["n"])
    assert (today.label, today["n"], today["site"]) == ("dog", 2, None)


def test_an_operation_that_does_not_fit_names_the_image(db: og.Workspace) -> None:
    with pytest.raises(og.ShapeError, match=r"Image 'camera'.*too little in an image of 256 x 256"):
        db.images().center_crop(size=300).store("crop")
    assert examine(db.images()._stores, deep=True).sound
    with pytest.raises(AttributeError, match="Did you mean 'resize'"):
        db.images().resise(size=3)  # type: ignore[attr-defined]
    with pytest.raises(og.UnknownNameError, match="parameter"):
        db.images().apply("resize", width=3)
    for bad in ("", "a b", "a#b", "x@2", "a/b"):
        with pytest.raises(og.DataError, match="not a name for derived images"):
            db.images().resize(size=8).store(bad)


def test_operations_travel_as_json(db: og.Workspace) -> None:
    lazy = db.images().where(F("n") > 2).resize(size=[8, 9]).to_grayscale()
    again = og.DerivedQuery.from_json(lazy.query.address, json.loads(json.dumps(lazy.to_json())))
    assert (again.query.plan, again.ops) == (lazy.query.plan, lazy.ops)
    assert repr(again) == repr(lazy)
    with pytest.raises(og.QueryError, match=r"DerivedQuery\.from_json"):
        og.Query.from_json(lazy.query.address, lazy.to_json())
    with pytest.raises(og.DataError, match="no JSON form"):
        lazy.apply(darker).to_json()
    with pytest.raises(og.UnknownNameError, match="rezise"):
        og.DerivedQuery.from_json(lazy.query.address, {**lazy.query.to_json(), "operations": ["rezise"]})


@pytest.mark.parametrize("how", ["apply", "map"])
def test_a_users_function_makes_images(db: og.Workspace, how: str) -> None:
    cats = db.images().where(F("label") == "cat")

    def halved(image: og.Image) -> np.ndarray:
        return darker(image.pixels)

    function: Callable[..., Any] = darker if how == "apply" else halved
    stored = cats.apply(darker).store("dark") if how == "apply" else cats.map(halved, "dark")
    assert isinstance(stored, og.Query)
    same(stored, {"chelsea#dark": data.chelsea() // 2})
    (row,) = edges(db)
    assert row["op"] == "python"
    assert json.loads(row["params"])["source"] == source_digest(function)
    again = cats.apply(darker).store("dark") if how == "apply" else cats.map(halved, "dark")
    assert isinstance(again, og.Query)
    assert again.keys().tolist() == stored.keys().tolist()
    with pytest.raises(og.ConflictError):
        cats.apply(lambda pixels: pixels // 3).store("dark")


def test_map_gives_values_and_stores_them_if_named(db: og.Workspace) -> None:
    expected = {image.id: float(image.pixels.mean()) for image in db.images()}
    assert db.images().map(brightness).to_dict() == expected
    assert "brightness" not in db.images().to_pandas().columns
    db.images().map(brightness, "brightness")
    assert db.images().to_pandas("id", "brightness").set_index("id")["brightness"].to_dict() == expected
    with pytest.raises(og.DataError, match="failed at '"):
        db.images().map(lambda image: image.nothing_here + 1)
    with pytest.raises(og.DataError, match="half a character at '"):
        db.images().map(lambda image: "\ud800")
    with pytest.raises(og.MetadataError):
        db.images().map(brightness, "digest")


def test_map_over_groups(db: og.Workspace) -> None:
    sums = db.images().map(lambda group: sum(image["n"] for image in group), "total", group_by="label")
    assert isinstance(sums, pd.Series)
    assert sums.to_dict() == {"person": 6, "cat": 2, "thing": 7}
    assert {image.id: image["total"] for image in db.images()} == {
        "astronaut": 6, "chelsea": 2, "coffee": 7, "rocket": 7, "camera": 6,
    }  # fmt: skip


def test_map_over_data_sets(db: og.Workspace) -> None:
    db.datasets.add("all", db.images())
    assert db.datasets().map(len).to_dict() == {"all@1": 5}


def test_interrupted_it_goes_on(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: batches that were stored stand, and the next call computes the others alone."""
    monkeypatch.setattr("odin_graph.runtime.derive.storing.BATCH", 2)
    monkeypatch.setattr("odin_graph.runtime.pixels.pixels.MOST_ROWS", 1)
    seen: list[tuple[int, ...]] = []
    stops = [True]

    def counted(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape)
        if stops[0] and len(seen) == 4:
            raise KeyboardInterrupt
        return pixels // 2

    lazy = db.images().apply(counted)
    with pytest.raises(KeyboardInterrupt):
        lazy.store("dark")
    assert len(db.images()) == 5 + 2
    assert examine(db.images()._stores, deep=True).sound
    stops[0] = False
    seen.clear()
    report = lazy.derive("dark")
    assert (report.computed, report.found, len(seen)) == (3, 2, 3)
    assert len(report.keys) == 5


def test_of_no_image_nothing_is_made(db: og.Workspace) -> None:
    none = db.images().where(F("n") > 99).resize(size=8)
    assert (len(none), list(none), len(none.store("none"))) == (0, [], 0)
    with pytest.raises(og.QueryError, match="nothing to show"):
        none.sheet()
    mapped = db.images().where(F("n") > 99).map(brightness, "brightness")
    assert len(mapped) == 0


def test_a_box_of_a_derivative_is_found_on_its_parent(db: og.Workspace) -> None:
    chosen = db.images().where(F("n") <= 4)
    (first, *_) = chosen.crop((30, 20, 150, 120)).flip().resize((50, 60)).store("part")
    where = first.geometry()
    assert (where.height, where.width) == first.shape[:2] == (50, 60)
    left, top, right, bottom = where.box_on_parent((0, 0, 60, 50))
    assert (left, top, right, bottom) == (30, 20, 150, 120)
    assert where.box_from_parent((left, top, right, bottom)) == (0, 0, 60, 50)
    parent = first.parent
    assert parent is not None
    part = parent.pixels[20:120, 30:150][:, ::-1]
    np.testing.assert_array_equal(first.pixels, Resize(size=(50, 60))(part))
    whole = db.image("chelsea")
    with pytest.raises(og.QueryError, match="was not made from another image"):
        whole.geometry()
    (dark, *_) = chosen.apply(darker).store("dark")
    with pytest.raises(og.QueryError, match=r"a function of your own"):
        dark.geometry()


def test_an_operation_of_a_package_says_where_its_pixels_lie(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPS, "_entries", dict(OPS._entries))

    @OPS.register("transpose")
    @dataclass(frozen=True, kw_only=True)
    class Transpose:
        times: int = 1

        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            return pixels.swapaxes(0, 1) if self.times % 2 else pixels

    chosen = db.images(["astronaut"])
    (turned,) = chosen.transpose(times=1).store("turned")
    with pytest.raises(og.QueryError, match=r"'transpose' does not say where its pixels lie: define geometry\(height"):
        turned.geometry()
    with pytest.raises(og.QueryError, match=r"pixels of 'transpose' are not known, so its images cannot be cut"):
        chosen.transpose().patches(8)
    with pytest.raises(og.DataError, match=r"transpose\(\) takes its parameters by keyword: times"):
        chosen.transpose(1)
    Transpose.geometry = lambda self, height, width: Geometry(width, height, np.eye(3)[[1, 0, 2]])  # type: ignore[attr-defined]
    assert turned.geometry().box_on_parent((0, 0, 3, 5)) == (0, 0, 5, 3)
    assert chosen.transpose().patches(8)[0].shape[:2] == (8, 8)
    (blurred,) = chosen.blur(1).to_rgb().store("blurred")
    assert blurred.geometry().box_on_parent((0, 0, 3, 5)) == (0, 0, 3, 5)


def slow_sum(image: og.Image) -> int:
    """In pure Python, which holds the interpreter; and the process it ran in."""
    total = 0
    for value in image.pixels[:8, :8].ravel().tolist():
        total += value
    return total


def where(image: og.Image) -> int:
    return os.getpid()


def turned(pixels: np.ndarray) -> np.ndarray:
    return np.array(pixels.tolist(), pixels.dtype)[::-1]


def test_functions_in_processes(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers, from other processes, of functions that cannot be imported there too."""
    get_reusable_executor().shutdown(wait=True)
    if (password := db.images().address.password) is not None:
        monkeypatch.setenv("ODIN_GRAPH_PASSWORD", password)  # which is pickled for nobody
    expected = {image.id: int(image.pixels[:8, :8].astype(np.int64).sum()) for image in db.images}
    assert db.images().map(slow_sum, workers=2).to_dict() == expected
    shift = 3
    shifted = db.images().map(lambda image: slow_sum(image) + shift, workers=2)
    assert shifted.to_dict() == {id_: total + 3 for id_, total in expected.items()}
    assert os.getpid() not in set(db.images().map(where, workers=2))
    assert set(db.images().map(where)) == {os.getpid()}
    parents = db.images().center_crop(20).store("middle")
    assert set(parents.map(lambda image: image.parent.id, workers=2)) == set(expected)  # asks the graph there
    stored = db.images(list(expected)).apply(turned).store("turned", workers=2)
    same(stored, {f"{id_}#turned": db.images[id_].pixels[::-1] for id_ in expected})
    mapped = db.images(list(expected)).map(lambda image: image.pixels[:4], "top", workers=2)
    assert isinstance(mapped, og.Query)
    same(mapped, {f"{id_}#top": db.images[id_].pixels[:4] for id_ in expected})


@pytest.mark.one_engine  # processes of ours, whatever the graph is in
def test_functions_that_fail_in_processes(db: og.Workspace) -> None:
    with pytest.raises(og.DataError, match=r"failed at '\w+': ZeroDivisionError"):
        db.images().map(lambda image: 1 // 0, workers=2)
    with pytest.raises(og.DataError, match=r"Image '\w+': an operation failed with ZeroDivisionError"):
        db.images().apply(lambda pixels: pixels // 0 if pixels.ndim == 9 else 1 // 0).store("x", workers=2)
    lock = threading.Lock()
    with pytest.raises(og.DataError, match="does not go into another process"):
        db.images().map(lambda image: lock.locked(), workers=2)
    with pytest.raises(og.DataError, match="workers=-1"):
        db.images().map(slow_sum, workers=-1)


def _store(address: Any, barrier: Any) -> None:
    stores = Stores.at(address)
    query = og.Query(address, Plan(AllImages())).where(F("n") > 0)
    barrier.wait()
    keys = query.resize((9, 11)).derive("both", progress=False).keys.tolist()
    assert len(keys) == 5
    stores.close()


def test_two_processes_store_the_same_at_once(db: og.Workspace) -> None:
    """Each image is made once, whoever is first; both are told the same keys."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    address = db.images().address
    both = [context.Process(target=_store, args=(address, barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    stored = [image.id for image in db.images() if image.id.endswith("#both")]
    assert sorted(stored) == sorted(f"{id_}#both" for id_ in [*PHOTOGRAPHS, "camera"])
    assert len([edge for edge in edges(db) if edge["id"].endswith("#both")]) == 5
    assert examine(db.images._stores, deep=True).sound


def test_a_function_that_gives_masked_pixels_is_refused(db: og.Workspace) -> None:
    """What lies below the mask would be stored."""
    masked = db.images(["chelsea"]).apply(lambda pixels: np.ma.masked_less(pixels, 256))
    for ask in (lambda: masked[0].pixels, lambda: masked.store("masked")):
        with pytest.raises(og.DataError, match="are masked, which is not stored"):
            ask()
