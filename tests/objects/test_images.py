"""`db.images`: folders, manifests and arrays in; the same again; what is refused, and how it is said."""

from __future__ import annotations

import importlib
import threading
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import skimage.data
from neomodel import IntegerProperty, StringProperty
from PIL import Image

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.images import pixels as storing
from odin_graph.catalog.images.images import AddReport, Written
from odin_graph.errors import ConflictError, DataError, MetadataError, ShapeError, UnreadableImageError
from tests.mnist import mnist

DRAW = np.random.default_rng(0)


class Angiogram(og.schema.Image):
    age = IntegerProperty()
    eye = StringProperty(required=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Real images in class folders: 8 bits of color and of gray, 16 bits of gray, one outside of any class."""
    pictures = {
        "people/astronaut.png": skimage.data.astronaut()[::8, ::8],
        "people/deep/camera.tif": skimage.data.camera()[::8, ::8],
        "things/coins.png": skimage.data.coins()[::4, ::4].astype(np.uint16) * 257,
        "moon.png": skimage.data.moon()[::8, ::8],
    }
    for name, pixels in pictures.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "pictures" / ".hidden").mkdir()
    (tmp_path / "pictures" / ".hidden" / "no.png").write_bytes(b"")
    return tmp_path / "pictures"


def test_a_folder_of_class_folders(db: og.Workspace, folder: Path) -> None:
    report = db.images.add(folder)
    assert str(report) == "4 added, 0 already there"
    found = {image.id: (image.label, image.shape, str(image.dtype)) for image in db.images}
    assert found == {
        "moon.png": (None, (64, 64, 1), "uint8"),
        "people/astronaut.png": ("people", (64, 64, 3), "uint8"),
        "people/deep/camera.tif": ("people", (64, 64, 1), "uint8"),
        "things/coins.png": ("things", (76, 96, 1), "uint16"),
    }
    coins = db.images["things/coins.png"]
    np.testing.assert_array_equal(coins.pixels[:, :, 0], skimage.data.coins()[::4, ::4].astype(np.uint16) * 257)
    assert coins.path == str(folder / "things/coins.png")


def test_links_to_folders_are_followed_and_circles_end(db: og.Workspace, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(skimage.data.moon()[::16, ::16]).save(elsewhere / "moon.png")
    (folder / "far").symlink_to(elsewhere)
    (folder / "people" / "circle").symlink_to(folder)
    db.images.add(folder)
    assert db.images["far/moon.png"].label == "far"
    assert len(db.images) == 5


def test_a_repeated_call_goes_on_without_decoding(
    db: og.Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.images.add(folder / "people")
    (folder / "things" / "broken.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"broken\.png: it is not an image"):
        db.images.add(folder, batch_size=1)
    (folder / "things" / "broken.png").unlink()
    report = db.images.add(folder)
    assert report.added + report.already_there == 4
    assert len(db.images) == 6  # the ids of the first call begin in another folder
    monkeypatch.setattr("odin_graph.ingest.readers.Readers._open", None)  # decoding would fail
    assert str(db.images.add(folder)) == "0 added, 4 already there"


def test_unreadable_files_are_reported_by_name_and_reason(db: og.Workspace, folder: Path) -> None:
    (folder / "people" / "notes.txt").write_text("these are people")
    whole = (folder / "people" / "astronaut.png").read_bytes()
    (folder / "people" / "cut.png").write_bytes(whole[: len(whole) // 2])
    report = db.images.add(folder, on_error="skip")
    assert report.added == 4
    assert [name for name, _ in report.errors] == ["people/cut.png", "people/notes.txt"]
    assert "cut.png: it is broken (" in str(report)
    assert "notes.txt: it is not an image, or of a format that is not read" in str(report)
    with pytest.raises(UnreadableImageError, match=r"people/cut\.png: it is broken"):
        db.images.add(folder)


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_a_manifest(db: og.Workspace, folder: Path, kind: str) -> None:
    frame = pd.DataFrame(
        {
            "path": ["people/astronaut.png", str(folder / "moon.png"), "things/coins.png"],
            "id": ["007", "008", "009"],
            "label": ["NA", None, "None"],
            "age": pd.array([53, None, 2**40], "Int64"),
            "weight": [60.0, 71.5, np.nan],
        }
    )
    if kind == "frame":
        db.images.add(frame, root=folder)
    else:
        path = folder / f"table.{kind}"
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        db.images.add(path)
    found = {image.id: (image.label, image["age"], image["weight"]) for image in db.images}
    assert found == {"007": ("NA", 53, 60.0), "008": (None, None, 71.5), "009": ("None", 2**40, None)}
    assert [image.id for image in db.images().where(F("age") > 60)] == ["009"]
    assert isinstance(db.images["007"].weight, float)


def test_dates_of_parquet_stay_dates(db: og.Workspace, folder: Path) -> None:
    frame = pd.DataFrame(
        {"path": ["moon.png"], "taken": [date(2024, 2, 29)], "seen": [pd.Timestamp("2024-03-01 12:30")]}
    )
    frame.to_parquet(folder / "table.parquet")
    db.images.add(folder / "table.parquet")
    assert db.images["moon.png"].taken == date(2024, 2, 29)
    assert db.images["moon.png"].seen.replace(tzinfo=None) == pd.Timestamp("2024-03-01 12:30")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "file,label\na.png,x\n",
            DataError,
            "has no column 'path', the path of each image. It has: file, label.",
        ),
        ("path,label\na.png,x,y,z\n", DataError, "cannot be read"),
        ("", DataError, "cannot be read: its first line, which names the columns, is empty"),
        ("path,id\nmoon.png,\n", DataError, "Row 1 of"),
        ("path,digest\nmoon.png,1\n", MetadataError, "'digest' is a property of ours"),
        ("path\nmoon.png\nmoon.png\n", ConflictError, "Two images of the call have the id 'moon.png'"),
        ("path\nmissing.png\n", UnreadableImageError, "missing.png: No such file or directory"),
        ("path,age\nmoon.png,1\nthings/coins.png,x\n", None, ""),
    ],
)
def test_bad_manifests(db: og.Workspace, folder: Path, text: str, error: type[Exception] | None, message: str) -> None:
    (folder / "table.csv").write_text(text)
    if error is None:  # a column of numbers and words is a column of words
        db.images.add(folder / "table.csv")
        assert db.images["moon.png"].age == "1"
        return
    with pytest.raises(error) as caught:
        db.images.add(folder / "table.csv")
    assert message in str(caught.value)
    assert len(db.images) == 0


def test_arrays(db: og.Workspace) -> None:
    pixels, digits = mnist()
    images = pixels[::50]
    eyes = np.where(np.arange(100) % 2, "left", "right")
    report = db.images.add(images=images, labels=digits[::50], metadata={"eye": eyes}, prefix="mnist")
    assert report.added == 100
    assert db.images["mnist/000042"].label == digits[42 * 50]
    np.testing.assert_array_equal(db.images["mnist/000042"].pixels[:, :, 0], images[42])
    assert db.images().where(F("eye") == "left").count() == 50
    assert str(db.images.add(images=images, labels=digits[::50], prefix="mnist")) == "0 added, 100 already there"


def test_a_repeated_call_says_what_it_did_not_change(db: og.Workspace, folder: Path, tmp_path: Path) -> None:
    images = DRAW.integers(0, 256, (4, 5, 5), np.uint8)
    when = [datetime(2026, 1, day, tzinfo=ZoneInfo("Europe/Berlin")) for day in (1, 2, 3, 4)]
    given = {
        "labels": ["x", "x", None, "y"],
        "metadata": {"age": [1, 2, 3, 4], "seen": when, "few": [[1], [2], [], [3]]},
    }
    first = db.images.add(images=images, **given)
    again = db.images.add(images=images, **given)
    assert first.differing == again.differing == []
    assert str(again) == "0 added, 4 already there"
    for name, value, differs in (("age", 1.0, True), ("age", None, False), ("new", "n", True), ("few", [9], True)):
        report = db.images.add(images=images[1:2], ids=["image/000001"], metadata={name: [value]})
        assert report.differing == ["image/000001"] * differs, (name, value)
    report = db.images.add(images=images, labels=["x", "z", "z", "y"])
    assert report.differing == ["image/000001", "image/000002"]
    assert "2 are there with another label or metadata, first 'image/000001'" in str(report)
    assert "db.labels.update(...)" in str(report)
    assert [image.label for image in db.images()] == ["x", "x", None, "y"]
    db.images.add(folder)
    manifest = pd.DataFrame({"path": ["things/coins.png"], "id": ["things/coins.png"], "label": ["money"]})
    assert db.images.add(manifest, root=folder).differing == ["things/coins.png"]


def test_arrays_of_any_shapes_and_dtypes(db: og.Workspace) -> None:
    images = [
        DRAW.random((4, 6), np.float32),
        DRAW.integers(0, 2**16, (3, 2, 7), np.uint16),
        DRAW.random((5, 5)) > 0.5,
    ]
    db.images.add(images=images, ids=["a", "b", "c"], metadata=pd.DataFrame({"n": [1, 2, 3]}))
    for id_, image in zip("abc", images, strict=True):
        held = db.images[id_].pixels
        assert held.dtype == image.dtype
        np.testing.assert_array_equal(held, image.reshape(*image.shape[:2], -1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give a folder, a manifest"),
        ({"source": "nowhere", "images": []}, "one of them"),
        ({"source": "nowhere"}, "nowhere does not exist"),
        ({"source": 5}, "not int: give arrays as images="),
        ({"source": "nowhere", "labels": [1]}, "in a manifest they are columns"),
        ({"images": np.zeros((4, 4))}, "this one has shape (4, 4)"),
        ({"images": np.zeros((2, 4, 4)), "labels": [1]}, "2 images, but 1 labels"),
        ({"images": np.zeros((2, 4, 4)), "metadata": {"age": [1]}}, "2 images, but 1 age"),
        ({"images": np.zeros((1, 4, 4)), "metadata": {"key": [1]}}, "'key' is a property of ours"),
        ({"images": np.zeros((1, 4, 4)), "on_error": "stop"}, "on_error='stop' is not known"),
        ({"images": np.zeros((1, 4, 4)), "on_conflict": "stop"}, "on_conflict='stop' is not known"),
        ({"images": np.zeros((1, 4, 4)), "batch_size": 0}, "batch_size=0"),
        ({"images": np.zeros((1, 4, 4)), "kind": int}, "kind= takes a subclass of og.schema.Image"),
        ({"images": [np.array(["x"])]}, "'image/000000'"),
        ({"images": np.zeros((1, 4, 4)), "ids": ["a@2"]}, "reads as a version"),
        ({"images": np.zeros((1, 4, 4)), "ids": [None]}, "None is not an image id"),
        ({"images": np.zeros((1, 4, 4)), "ids": [b"a"]}, "b'a' is not an image id"),
        ({"images": np.zeros((1, 4, 4)), "ids": [1.0]}, "1.0 is not an image id: give a text or a whole number"),
        ({"images": np.zeros((3, 4, 4)), "ids": "abc"}, "'ids' is 'abc': give one value an image"),
        ({"images": np.zeros((3, 4, 4)), "labels": "abc"}, "'labels' is 'abc': give one value an image"),
        ({"images": np.zeros((2, 4, 4)), "metadata": {"eye": {"a": 1, "b": 2}}}, "'eye' is {'a': 1, 'b': 2}: give one"),
    ],
)
def test_calls_that_are_refused(db: og.Workspace, arguments: dict[str, object], message: str) -> None:
    with pytest.raises((DataError, ShapeError, MetadataError)) as caught:
        db.images.add(**arguments)
    assert message in str(caught.value)
    assert len(db.images) == 0


def test_conflicts(db: og.Workspace) -> None:
    first, other = DRAW.integers(0, 256, (2, 1, 5, 5), np.uint8)
    db.images.add(images=first, ids=["a"])
    with pytest.raises(ConflictError, match="Stored already with other pixels: 'a'"):
        db.images.add(images=other, ids=["a"])
    report = db.images.add(images=other, ids=["a"], on_conflict="skip")
    assert str(report) == "0 added, 0 already there, 1 left out, since other pixels are there"
    assert report.others == ["a"]
    assert str(db.images.add(images=other, ids=["a"], on_conflict="revise")) == "0 added, 0 already there, 1 revised"
    np.testing.assert_array_equal(db.images["a@2"].pixels[:, :, 0], other[0])


def test_skipped_ids_are_told_apart(db: og.Workspace) -> None:
    """What is there with the same pixels, with others, and what was deleted are three things in the report."""
    pixels = DRAW.integers(0, 256, (4, 5, 5), np.uint8)
    db.images.add(images=pixels[:3], ids=["a", "b", "c"])
    db.image("c").delete()
    report = db.images.add(images=pixels[[0, 3, 2, 3]], ids=["a", "b", "c", "d"], on_conflict="skip")
    assert (report.added, report.already_there, report.others, report.deleted) == (1, 1, ["b"], ["c"])
    assert str(report) == (
        "1 added, 1 already there, 1 left out, since other pixels are there, 1 left out, since they were deleted before"
    )


def test_update_stores_what_is_new(db: og.Workspace, folder: Path) -> None:
    """New pixels are the next version; with the same pixels the label and metadata that are given are set."""
    pixels = DRAW.integers(0, 256, (4, 5, 5), np.uint8)
    db.images.add(images=pixels[:3], ids=["a", "b", "c"], labels=["x", "y", None], metadata={"n": [1, 2, 3]})
    given = {"labels": ["x", "z", None, "w"], "metadata": {"n": [None, 5, 6, 7], "eye": ["left", None, None, None]}}
    report = db.images.add(images=pixels[[0, 1, 3, 2]], ids=["a", "b", "c", "d"], on_conflict="update", **given)
    assert str(report) == "1 added, 2 already there, 1 revised, 2 updated"
    found = {image.id: (image.label, image["n"], image["eye"]) for image in db.images}
    assert found == {
        "a": ("x", 1, "left"),
        "b": ("z", 5, None),
        "c": (None, 3, None),
        "c@2": (None, 6, None),
        "d": ("w", 7, None),
    }
    assert db.labels.history("b")[["before", "after"]].values.tolist() == [["y", "z"]]
    assert str(db.images.add(images=pixels[[1]], ids=["b"], on_conflict="update")) == "0 added, 1 already there"
    db.image("d").delete()
    with pytest.raises(ConflictError, match="Deleted before: 'd'"):
        db.images.add(images=pixels[[0]], ids=["d"], on_conflict="update")
    table = pd.DataFrame({"path": ["moon.png"], "label": ["night"]})
    db.images.add(table, root=folder)
    db.images.add(table.assign(label="moon"), root=folder, on_conflict="update")
    assert db.images["moon.png"].label == "moon"


def test_a_folder_that_is_reached_in_two_ways_is_two_folders(db: og.Workspace, folder: Path) -> None:
    """No image is dropped without a word: both classes have it, and the report says so."""
    (folder / "humans").symlink_to(folder / "people")
    report = db.images.add(folder)
    assert [image.id for image in db.images if image.label == "humans"] == [
        "humans/astronaut.png",
        "humans/deep/camera.tif",
    ]
    assert "humans and people are one folder: its images are stored once for each." in str(report)


def test_declared_fields_are_filled_and_filtered_by_the_orm(db: og.Workspace) -> None:
    db.images.add(
        images=np.zeros((3, 4, 4), np.uint8),
        metadata={"age": [70, "54", None], "eye": ["left", "right", "left"], "site": ["A", "B", "C"]},
        kind=Angiogram,
    )
    assert [scan.uid for scan in Angiogram.nodes.filter(age__gt=60)] == ["image/000000"]
    assert Angiogram.nodes.get(uid="image/000001").age == 54
    assert db.images().where(F("age") > 50).count() == 2
    assert len(db.images) == 3


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"age": [1]}, "'image/000000' has no 'eye', which Angiogram requires"),
        (
            {"age": ["old"], "eye": ["left"]},
            "'age' of 'image/000000' is 'old', which IntegerProperty of Angiogram refuses",
        ),
        ({"age": [1.5], "eye": ["left"]}, "'age' of 'image/000000' is 1.5, which IntegerProperty of Angiogram refuses"),
    ],
)
def test_declared_fields_are_checked(db: og.Workspace, metadata: dict[str, list[object]], message: str) -> None:
    with pytest.raises(MetadataError) as caught:
        db.images.add(images=np.zeros((1, 4, 4), np.uint8), metadata=metadata, kind=Angiogram)
    assert message in str(caught.value)
    assert len(db.images) == 0


def test_batches_are_bounded_by_bytes(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images of 400 bytes, 1,000 bytes a transaction: an interruption loses the last batch alone."""
    ingesting = importlib.import_module("odin_graph.ingest.ingest")  # a function of that name hides it
    write, stored = ingesting.write_images, []
    monkeypatch.setattr(ingesting, "BATCH_BYTES", 1_000)
    monkeypatch.setattr(ingesting, "write_images", lambda *a, **k: stored.append(len(a[1])) or write(*a, **k))
    db.images.add(images=DRAW.integers(0, 256, (10, 20, 20), np.uint8))
    assert stored == [3, 3, 3, 1]


def test_a_batch_that_fails_in_the_graph_leaves_nothing_of_itself_or_the_next(
    db: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one's pixels are written while it is named; what was named before stays."""
    name, named = Written.name, []

    def failing(written: Written) -> AddReport:
        named.append(len(written.batch))
        if len(named) == 2:
            written.batch.metadata["age"][0] = object()  # which no graph stores
        return name(written)

    monkeypatch.setattr(Written, "name", failing)
    ages = list(range(12))
    with pytest.raises(MetadataError, match="object"):
        db.images.add(images=DRAW.integers(0, 256, (12, 20, 20), np.uint8), metadata={"age": ages}, batch_size=3)
    assert named == [3, 3]
    assert [image.age for image in db.images] == [0, 1, 2]
    held = [file.uri for file in db._stores.arrays.files() if ".pixels." in file.uri]
    assert held == [segment.uri for segment in db._stores.columns.segments("pixels")], "the pixels of one batch"


def test_a_last_batch_that_fails_in_the_graph_leaves_no_merged_pixels(
    db: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels of all batches are merged while the last one is named; what was named before stays."""
    name, merge, named, merged = Written.name, storing.compact, [], threading.Event()

    def failing(written: Written) -> AddReport:
        named.append(len(written.batch))
        if len(named) == 4:
            assert merged.wait(60)
            written.batch.metadata["age"][0] = object()  # which no graph stores
        return name(written)

    def merging(*args: Any) -> list[Any]:
        found = merge(*args)
        assert sum(segment.rows for segment in found) == 12
        merged.set()
        return found

    monkeypatch.setattr(Written, "name", failing)
    monkeypatch.setattr(storing, "compact", merging)
    images = DRAW.integers(0, 256, (12, 20, 20), np.uint8)
    with pytest.raises(MetadataError, match="object"):
        db.images.add(images=images, metadata={"age": list(range(12))}, batch_size=3)
    assert named == [3, 3, 3, 3]
    np.testing.assert_array_equal(db.images().order_by(F("age")).to_numpy()[..., 0], images[:9])
    held = {file.uri for file in db._stores.arrays.files() if ".pixels." in file.uri}
    assert held == {segment.uri for segment in db._stores.columns.segments("pixels")}, "those of three batches"


def test_what_was_read_before_a_file_that_cannot_be_read_is_stored(db: og.Workspace, tmp_path: Path) -> None:
    """A batch is named while the next one is read: the call ends when that is done."""
    for place in range(7):
        Image.fromarray(DRAW.integers(0, 256, (20, 20), np.uint8)).save(tmp_path / f"{place}.png")
    (tmp_path / "7.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"7\.png"):
        db.images.add(tmp_path, batch_size=3)
    assert [image.id for image in db.images] == [f"{place}.png" for place in range(6)]


def test_originals_are_kept_when_asked(db: og.Workspace, folder: Path) -> None:
    db.images.add(folder / "things", keep_originals=True)
    key = db.images["coins.png"].key
    (held,) = db._stores.columns.array("originals").read_list(np.array([key]))
    assert held.tobytes() == (folder / "things" / "coins.png").read_bytes()


def test_an_image_and_its_metadata(db: og.Workspace, tmp_path: Path) -> None:
    db.images.add(images=[skimage.data.coins()[::4, ::4]], ids=["coins"], labels=["things"], metadata={"age": [2000]})
    image = db.images["coins"]
    assert (image.age, image["age"], image.metadata) == (2000, 2000, {"age": 2000})
    assert not hasattr(image, "agee")
    with pytest.raises(AttributeError, match="Did you mean 'age'"):
        image.agee  # noqa: B018
    assert repr(image) == "Image('coins': 96 x 76 x 1 uint8, label 'things')"
    assert "<td>age</td><td>2000</td>" in image._repr_html_()
    with Image.open(image.save(tmp_path / "coins.png")) as saved:
        assert saved.width > 96
    assert image == db.images["coins"]
    with pytest.raises(og.errors.UnknownNameError, match=r"There is no image 'coin'\. Did you mean 'coins'\?"):
        db.images["coin"]


def test_a_split_of_the_same_images_is_the_same(db: og.Workspace) -> None:
    """Whatever order they were put into the data set in."""
    db.images.add(images=DRAW.integers(0, 256, (40, 4, 4), np.uint8), labels=["a", "b"] * 20)
    ids = [image.id for image in db.images]
    parts = []
    for name, order in (("one", ids), ("two", ids[::-1])):
        made = db.datasets.add(name, order).split({"train": 0.5, "test": 0.5}, stratify="label", seed=3)
        parts.append({part: sorted(dataset.keys().tolist()) for part, dataset in made.items()})
    assert parts[0] == parts[1]
