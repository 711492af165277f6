"""Pixels out of a query as NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from tests.mnist import mnist
from tests.workspaces import add_digits

pytestmark = pytest.mark.one_engine  # arrays of pixels, which no graph has


def test_batches_and_arrays_are_the_pixels(db: og.Workspace) -> None:
    add_digits(db, 25)
    pixels, digits = mnist()
    truth = pixels[np.arange(25) * (len(pixels) // 25)][..., None]
    labels = digits[np.arange(25) * (len(pixels) // 25)].tolist()
    np.testing.assert_array_equal(db.images().to_numpy(), truth)
    backwards = db.images().order_by(F("key").desc())
    np.testing.assert_array_equal(backwards.to_numpy(), truth[::-1])
    batches = list(db.images().batches(10))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate([batch.stack() for batch in batches]), truth)
    assert [label for batch in batches for label in batch.labels] == labels
    shuffled = list(db.images().batches(10, seed=3))
    ids = [id_ for batch in shuffled for id_ in batch.ids]
    assert sorted(ids) == [f"digit/{n:06}" for n in range(25)] != ids
    assert ids == [id_ for batch in db.images().batches(7, seed=3) for id_ in batch.ids]
    for batch in shuffled:
        for id_, image, label in zip(batch.ids, batch.images, batch.labels, strict=True):
            np.testing.assert_array_equal(image, truth[int(id_[-6:])])
            assert label == labels[int(id_[-6:])]


def test_a_data_sets_labels_are_the_frozen_ones(db: og.Workspace) -> None:
    add_digits(db, 4)
    made = db.datasets.add("all", db.images())
    db.labels.update({"digit/000000": 9})
    (batch,) = db.images(made).batches()
    assert list(batch.labels) == made.labels


def test_what_makes_no_array(db: og.Workspace) -> None:
    db.images.add(images=[np.zeros((3, 4), np.uint8), np.zeros((3, 5), np.uint16)], progress=False)
    with pytest.raises(og.ShapeError, match=r"Images of 2 kinds cannot be one array .*batches"):
        db.images().to_numpy()
    assert [image.shape for batch in db.images().batches(1) for image in batch.images] == [(3, 4, 1), (3, 5, 1)]
    with pytest.raises(og.DataError, match="selects no image"):
        db.images().where(F("id") == "nothing").to_numpy()
    with pytest.raises(og.DataError, match="give 1 or more"):
        list(db.images().batches(0))
