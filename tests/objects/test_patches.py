"""Patches are torch's `unfold` and scikit-image's windows; stored with lineage, found again; on both engines."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data as skimage_data
from skimage.util import view_as_windows

import odin_graph as og
from odin_graph import F, config
from odin_graph.arrays import tiled
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.ops import Crop, Patch, Patches, Resize, ToGrayscale
from tests.kept import kept

data: Any = skimage_data


def picture(dtype: str, bands: int, height: int = 100, width: int = 130) -> NDArray[Any]:
    values = np.tile(data.astronaut(), (1, 1, 2))[:height, :width, :bands].astype(np.float64)
    return (values * (257 if dtype == "uint16" else 1)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize(("size", "stride"), [(32, 32), (32, 20), ((40, 16), (7, 31))])
def test_they_are_windows(dtype: str, bands: int, size: Any, stride: Any) -> None:
    pixels = picture(dtype, bands)
    tall, wide = (size, size) if isinstance(size, int) else size
    down, across = (stride, stride) if isinstance(stride, int) else stride
    windows = view_as_windows(pixels, (tall, wide, bands), (down, across, 1))[:, :, 0]
    found = {(p.row, p.column): p.patch(pixels) for p in Patches(size, stride).of(100, 130)}
    assert len(found) == windows.shape[0] * windows.shape[1]
    for (row, column), patch in found.items():
        assert patch.dtype == pixels.dtype
        np.testing.assert_array_equal(patch, windows[row, column])


def test_they_are_torchs_unfold() -> None:
    pixels = picture("float32", 3)
    unfolded = torch.from_numpy(pixels).permute(2, 0, 1).unfold(1, 24, 24).unfold(2, 24, 24)
    for placed in Patches(24).of(100, 130):
        expected = unfolded[:, placed.row, placed.column].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(placed.patch(pixels), expected)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 40),
    stride=st.none() | st.integers(1, 50),
    edge=st.sampled_from(["drop", "shift", "pad"]),
)
def test_edges(height: int, width: int, size: int, stride: int | None, edge: Any) -> None:
    """Every patch has the size; shifted and padded ones leave no pixel out that a stride does not jump over."""
    grid = Patches(size, stride, edge)
    if edge != "pad" and size > min(height, width):
        with pytest.raises(og.ShapeError, match='edge="pad"'):
            list(grid.of(height, width))
        return
    numbers = np.arange(1, height * width + 1).reshape(height, width, 1)
    seen = np.zeros((height, width), bool)
    for placed in grid.of(height, width):
        patch = placed.patch(numbers)
        assert patch.shape == (size, size, 1)
        where = placed.patch.geometry(height, width)
        left, top, right, bottom = (int(edge) for edge in where.box_on_parent((0, 0, size, size)))
        inside = patch[: height - top, : width - left]
        np.testing.assert_array_equal(inside, numbers[top:bottom, left:right])
        assert patch.sum() == inside.sum()
        assert edge == "pad" or (right <= width and bottom <= height)
        seen[top:bottom, left:right] = True
    if edge != "drop" and (stride is None or stride <= size):
        assert seen.all()
    if edge == "drop":
        covered = [
            [p * (stride or size) + o for p in range((n - size) // (stride or size) + 1) for o in range(size)]
            for n in (height, width)
        ]
        assert seen.sum() == len(set(covered[0])) * len(set(covered[1]))


@kept
def db(db: og.Workspace) -> og.Workspace:
    """Three photographs of two sizes."""
    db.images.add(
        images=[picture("uint8", 3), picture("uint16", 3, 64, 64), picture("uint8", 3)[::-1]],
        ids=["a", "b", "c"],
        labels=["x", "y", "x"],
        metadata={"site": ["Lima", "Oslo", "Pune"]},
    )
    return db


def test_lazy(db: og.Workspace) -> None:
    patches = db.images().patches(32)
    assert len(patches) == 12 + 4 + 12
    expected = [
        (id_, p)
        for id_, (h, w) in {"a": (100, 130), "b": (64, 64), "c": (100, 130)}.items()
        for p in Patches(32).of(h, w)
    ]
    for found, (id_, placed) in zip(patches, expected, strict=True):
        assert found.parent.id == id_
        np.testing.assert_array_equal(found.pixels, placed.patch(db.images[id_].pixels))
    assert patches[-1].parent.id == "c"
    np.testing.assert_array_equal(patches[12].pixels, db.images["b"].pixels[:32, :32])
    assert len(pickle.loads(pickle.dumps(patches))) == 28
    assert ".patches(32, 32)" in repr(patches)


def test_stored_with_lineage_and_found_again(db: og.Workspace) -> None:
    query = db.images().patches(32, edge="shift")
    stored = query.store("p")
    ids = [image.id for image in stored]
    assert ids[:6] == [f"a#p/{row}-{column}" for row, column in ((0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0))]
    assert len(ids) == 20 + 4 + 20
    for image, lazy in zip(stored, query, strict=True):
        np.testing.assert_array_equal(image.pixels, lazy.pixels)
        assert (image.parent.id, image.label, image.fields["site"]) == (
            lazy.parent.id,
            lazy.parent.label,
            lazy.parent.fields["site"],
        )
    last = db.images["a#p/3-4"]
    assert last.geometry().box_on_parent((0, 0, 32, 32)) == (98, 68, 130, 100)
    rows = db.cypher(
        "MATCH (i:Crop {id: 'a#p/3-4'})-[e:DERIVED_FROM]->(p:Image) MATCH (i)-[:HAS_ROOT]->(r:Image) "
        "RETURN p.id AS p, r.id AS r, e.op AS op, e.params AS params"
    )
    assert (rows[0]["p"], rows[0]["r"], rows[0]["op"]) == ("a", "a", "patch")
    assert rows[0]["params"] == '{"box": [98, 68, 130, 100], "fill": 0}'
    again = db.images(["a", "b", "c"]).patches(32, edge="shift").derive("p")
    assert (again.computed, again.found) == (0, 44)
    with pytest.raises(og.ConflictError, match=r"'p' were made in another way"):
        db.images(["a", "b", "c"]).patches(32, stride=16).store("p")
    every = db.images().patches(32, edge="shift").derive("p")  # what was made the last time is found, not cut once more
    assert (every.computed, len(every.keys)) == (0, 44)
    assert examine(db.images._stores, deep=True).sound


def test_operations_before_and_after(db: og.Workspace) -> None:
    query = db.images().resize((64, 96)).patches(32).to_grayscale()
    stored = query.store("q")
    assert len(stored) == 18
    for image, lazy in zip(stored, query, strict=True):
        row, column = (int(place) for place in image.id.rpartition("/")[2].split("-"))
        whole = Resize(size=(64, 96))(lazy.parent.pixels)
        expected = ToGrayscale()(Crop(box=(32 * column, 32 * row, 32 * column + 32, 32 * row + 32))(whole))
        np.testing.assert_array_equal(image.pixels, expected)
        np.testing.assert_array_equal(lazy.pixels, expected)
    where = db.images["a#q/1-2"].geometry()
    np.testing.assert_allclose(where.box_on_parent((0, 0, 32, 32)), (64 * 130 / 96, 50, 130, 100))
    with pytest.raises(og.QueryError, match="store them first"):
        db.images().apply(lambda pixels: pixels).patches(8)


def test_trained_on(db: og.Workspace) -> None:
    query = db.images().where(F("site") != "Oslo").patches(32).to_grayscale()
    pixels = query.to_numpy()
    assert pixels.shape == (24, 32, 32, 1)
    seen: list[Any] = []
    for inputs, targets in query.loader(5, seed=1, workers=2):
        seen += [(one.numpy().transpose(1, 2, 0).tobytes(), int(t)) for one, t in zip(inputs, targets, strict=True)]
    assert sorted(seen) == sorted((one.astype(np.float32).tobytes(), 0) for one in pixels)
    augmented = query.to_torch(augment=[og.ops.RandomApply("flip", p=0.5)])
    same = [torch.equal(augmented[n][0], query.to_torch()[n][0]) for n in range(12)]
    assert 0 < sum(same) < 12  # the patches of one image are not all flipped alike
    with pytest.raises(og.QueryError, match="stored"):
        query.loader(stream=True)


def test_a_huge_image_is_cut_tile_by_tile(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_HUGE", 1 << 20)
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 20)
    slide = np.tile(data.astronaut(), (3, 3, 1))[:1100, :1300]
    db.images.add(images=[slide], ids=["slide"], labels=["z"])
    monkeypatch.setattr(type(db.images._stores.arrays.budget), "memory", 4 << 20, raising=False)
    query = db.images(["slide"]).patches(256, edge="pad")
    stored = query.store("tile")
    assert len(stored) == 5 * 6
    padded = np.pad(slide, ((0, 5 * 256 - 1100), (0, 6 * 256 - 1300), (0, 0)))
    for image in stored:
        row, column = (int(place) for place in image.id.rpartition("/")[2].split("-"))
        np.testing.assert_array_equal(
            image.pixels, padded[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
        )


def test_nothing_to_cut(db: og.Workspace) -> None:
    none = db.images().where(F("site") == "Rome").patches(8)
    assert len(none) == 0
    assert len(none.store("none")) == 0
    with pytest.raises(og.QueryError, match="no patch"):
        none.sheet()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda db: db.images().patches(0), og.DataError, "patches takes a size"),
        (lambda db: db.images().patches(8, 0), og.DataError, "stride"),
        (lambda db: db.images().patches(8, edge="wrap"), og.DataError, "wrap"),
        (lambda db: len(db.images().patches(99)), og.ShapeError, r"'b': An image of 64 x 64 has no patch of 99 x 99"),
        (lambda db: len(db.images().center_crop(80).patches(9)), og.OdinError, "'b'"),
        (lambda db: db.images().patches(8).store("a b"), og.DataError, "not a name"),
        (lambda db: db.images().patches(90, edge="pad", fill=-1).to_numpy(), og.DataError, "cannot contain -1"),
        (lambda db: Patch(box=(0, -1, 1, 0)), og.DataError, "A patch begins inside"),
    ],
)
def test_bad_input(db: og.Workspace, call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(db)
