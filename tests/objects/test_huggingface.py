"""A query as a data set of Hugging Face's: the pixels, ids, labels and fields are the query's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from skimage import data as skimage_data

import odin_graph as og
from odin_graph import F

pytestmark = pytest.mark.one_engine  # tables of another library

data: Any = skimage_data


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.mark.parametrize("bands", [1, 3])
def test_pictures(db: og.Workspace, bands: int) -> None:
    photograph = data.astronaut()[..., :bands]
    images = [photograph[n : n + 40 + n, n : n + 50] for n in range(9)]
    db.images.add(images=images, labels=["cat", "dog", "cat"] * 3, metadata={"age": list(range(9))})
    made = db.images().where(F("age") != 4).to_huggingface("age", batch_size=2)
    assert made.num_rows == 8
    assert made.features["label"].names == ["cat", "dog"]
    for row, image in zip(made, db.images().where(F("age") != 4), strict=True):
        np.testing.assert_array_equal(np.atleast_3d(np.array(row["image"])), image.pixels)
        assert (row["id"], row["age"]) == (image.id, image.fields["age"])
        assert made.features["label"].int2str(row["label"]) == image.label


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_other_depths_are_arrays(db: og.Workspace, dtype: str) -> None:
    images = (np.random.default_rng(0).random((5, 6, 7, 5)) * 60_000).astype(dtype)
    db.images.add(images=images, labels=[1, 2, 3, 4, 5])
    made = db.images().to_huggingface().with_format("numpy")
    np.testing.assert_array_equal(np.stack([row["image"] for row in made]), images)
    assert made.features["image"].dtype == dtype
    assert list(made["label"]) == [1, 2, 3, 4, 5]


def test_what_operations_make(db: og.Workspace) -> None:
    db.images.add(images=[data.astronaut()[:60, :60], data.chelsea()[:70, :80]])
    made = db.images().center_crop(32).to_grayscale().to_huggingface()
    for row, image in zip(made, db.images().center_crop(32).to_grayscale(), strict=True):
        np.testing.assert_array_equal(np.array(row["image"]), image.pixels[..., 0])


def test_bad_input(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)]
    db.images.add(images=images, ids=["a", "b"])
    with pytest.raises(og.ShapeError, match=r"'b' is uint16.*to_float"):
        db.images().to_huggingface()
    with pytest.raises(og.DataError, match="no image"):
        db.images().limit(0).to_huggingface()
    with pytest.raises(og.UnknownNameError, match="agee"):
        db.images().to_huggingface("agee")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(og.MissingExtraError, match=r"odin-graph\[huggingface\]"):
        db.images().to_huggingface()
