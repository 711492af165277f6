"""A box is (left, top, right, bottom) in pixels, right and bottom exclusive, wherever one is given or shown."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.arguments import whole_box
from odin_graph.arrays.boxes import read_box
from odin_graph.ops import Crop, Pad, Patch, Patches

BOX = (3, 10, 7, 12)
"""Of the image below: 4 columns from 3 on, and 2 rows from 10 on."""
PIXELS = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30, 1)
INSIDE = PIXELS[10:12, 3:7]


@pytest.mark.parametrize("box", [BOX, list(BOX), np.array(BOX), tuple(map(float, BOX))])
def test_one_box_is_the_same_pixels_everywhere(db: og.Workspace, box: Any) -> None:
    db.images.add(images=PIXELS[None], ids=["a"])
    image, query = db.image("a"), db.images()
    np.testing.assert_array_equal(image.crop(box), INSIDE)
    np.testing.assert_array_equal(query.crop(box)[0].pixels, INSIDE)
    np.testing.assert_array_equal(query.apply("crop", box=box)[0].pixels, INSIDE)
    np.testing.assert_array_equal(Crop(box=box)(PIXELS), INSIDE)
    np.testing.assert_array_equal(Patch(box=box)(PIXELS), INSIDE)
    stored = query.crop(box).store("part")[0]
    assert stored.geometry().box_on_parent((0, 0, 4, 2)) == BOX
    assert stored.geometry().box_from_parent(box) == (0, 0, 4, 2)
    np.testing.assert_array_equal(query.crop(stored.geometry().box_on_parent((0, 0, 4, 2)))[0].pixels, INSIDE)
    (row,) = db.cypher("MATCH (:Image {id: 'a#part'})-[d:DERIVED_FROM]->() RETURN d.params AS params")
    assert json.loads(row["params"]) == {"box": list(BOX)}


def test_patches_have_boxes() -> None:
    boxes = [placed.patch.box for placed in Patches((2, 4), edge="pad").of(3, 9)]
    assert boxes == [(x, y, x + 4, y + 2) for y in (0, 2) for x in (0, 4, 8)]
    assert Patch(box=(8, 2, 12, 4)).inside(3, 9) == (8, 2, 9, 3)


def test_sides_are_in_the_order_of_a_box(db: og.Workspace) -> None:
    db.images.add(images=PIXELS[None], ids=["a"])
    padded = np.pad(PIXELS, ((2, 4), (1, 3), (0, 0)))
    np.testing.assert_array_equal(db.images().pad(1, 2, 3, 4)[0].pixels, padded)
    np.testing.assert_array_equal(Pad(left=1, top=2, right=3, bottom=4)(PIXELS), padded)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((3, 10, 3, 12), r"The box \(3, 10, 3, 12\) \(left, top, right, bottom\) is empty"),
        ((7, 10, 3, 12), "is empty"),
        ((3, 10, 7), r"is not a box: give \(left, top, right, bottom\) in whole pixels"),
        ((3, 10, 7, 12.5), "is not a box"),
        ((3, 10, 7, True), "is not a box"),
        ((3, 10, 7, 10**400), "is not a box"),
        ({3, 10, 7, 12}, "is not a box"),
        (np.array([BOX]), "is not a box"),
        ("3, 10", "is not a box"),
        (None, "is not a box"),
        ((3, 10, 7, 21), "reaches outside of an image of 20 x 30"),
        ((-1, 10, 7, 12), "reaches outside of an image of 20 x 30"),
    ],
)
def test_what_is_no_box_is_refused(box: Any, said: str) -> None:
    with pytest.raises(og.OdinError, match=said):
        read_box(box, PIXELS.shape)


def test_a_box_of_numpy_becomes_numbers_of_python() -> None:
    assert [type(number) for number in whole_box(np.array(BOX))] == [int] * 4
