"""Near duplicates without a model: copies are found, clean splits are left alone, what cannot be seen is said."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.datasets import load_digits

import odin_graph as og
from tests.mnist import mnist

pytestmark = pytest.mark.one_engine

Pixels = NDArray[np.uint8]


def digits(number: int, seed: int) -> list[Pixels]:
    held, _ = mnist()
    chosen = np.random.default_rng(seed).permutation(len(held))[:number]
    return list(held[chosen])


def photographs() -> list[Pixels]:
    """Pieces of 96 x 96 with something on them."""
    cut = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    tiles = [photo[y : y + 96, x : x + 96] for photo in cut for y in (0, 100, 200) for x in (0, 110, 220, 320)]
    return [tile for tile in tiles if tile.shape == (96, 96, 3) and tile.std() > 20]


def by_pillow(change: Callable[[Image.Image], Image.Image]) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.asarray(change(Image.fromarray(pixels)))


def stored_again(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return Image.open(out)


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "stored again": by_pillow(stored_again),
    "half the size": by_pillow(lambda image: image.resize((image.width // 2, image.height // 2))),
    "of another size": by_pillow(lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4))),
    "twice the size": by_pillow(lambda image: image.resize((image.width * 2, image.height * 2))),
    "darker": by_pillow(lambda image: ImageEnhance.Brightness(image).enhance(0.6)),
    "brighter": lambda pixels: np.clip(pixels.astype(int) + 30, 0, 255).astype(np.uint8),
    "of less contrast": by_pillow(lambda image: ImageEnhance.Contrast(image).enhance(0.7)),
    "blurred": by_pillow(lambda image: image.filter(ImageFilter.GaussianBlur(1))),
    "gray": by_pillow(lambda image: image.convert("L")),
    "of 16 bits": lambda pixels: pixels.astype(np.uint16) * 257,
}


def compared(db: og.Workspace, train: Sequence[Any], test: Sequence[Any], **how: Any) -> og.Leaks:
    for name, images in (("train", train), ("test", test)):
        ids = [f"{name}-{at}" for at in range(len(images))]
        db.images.add(images=list(images), ids=ids, labels=["a"] * len(images), progress=False)
        db.datasets.add(name, ids)
    return db.leaks("train", "test", rules=["near"], **how)


def found(report: og.Leaks) -> set[tuple[int, int]]:
    rows = report.to_arrow().to_pylist()
    return {(int(row["train"].split("-")[1]), int(row["test"].split("-")[1])) for row in rows}


@pytest.mark.parametrize("small", ["28 x 28", "8 x 8", "photographs"])
def test_a_clean_split_of_small_images_is_clean(db: og.Workspace, small: str) -> None:
    """At most one test image in 500 is taken for a copy of another image."""
    if small == "28 x 28":
        images = digits(2_000, seed=1)
    elif small == "8 x 8":
        images = list((load_digits().images[:1_700] * 15).astype(np.uint8))
    else:
        images = photographs()
    test = len(images) // 4
    report = compared(db, images[test:], images[:test])
    assert len(report.test_keys()) <= test // 500 + (test >= 100), str(report)


def test_copies_are_found(db: og.Workspace) -> None:
    """Of small digits and of photographs: nearly all of each kind, and hardly anything else."""
    train = digits(120, seed=2)
    pieces = photographs()
    originals = [*train[:40], *pieces]
    test = list(chain.from_iterable(map(copy, originals) for copy in COPIES.values()))
    pairs = found(compared(db, [*originals, *train[40:]], test))
    for place, name in enumerate(COPIES):
        first = place * len(originals)
        hits = sum((at, first + at) in pairs for at in range(len(originals)))
        assert hits >= 0.95 * len(originals), f"{name}: {hits} of {len(originals)}"
    right = {(at, place * len(originals) + at) for place in range(len(COPIES)) for at in range(len(originals))}
    assert len(pairs - right) <= 0.01 * len(test)


def test_what_it_cannot_see_is_said(db: og.Workspace) -> None:
    """Turned and cropped copies, images of one tone and tiny ones are not taken for clean without a word."""
    image = photographs()[0]
    train = [image, np.zeros((20, 20), np.uint8), np.full((9, 9), 7, np.uint8)]
    test = [np.rot90(image).copy(), image[20:, 20:].copy(), np.full((20, 20), 9, np.uint8), np.eye(3, dtype=np.uint8)]
    report = compared(db, train, test)
    assert not report
    assert "no leak by near" in str(report)
    assert "rotated, mirrored, shifted and cropped copies are not seen by it" in str(report)
    assert "2 training and 2 test images were not compared" in str(report)
    assert "rotated" in report._repr_html_()
    for within in (-1, 101, float("nan")):
        with pytest.raises(og.QueryError, match="is a number of thousandths, 0 to 100"):
            db.leaks("train", "test", rules=["near"], within=within)


def test_what_is_not_finite_is_not_compared(db: og.Workspace) -> None:
    image = skimage.data.camera()[:64, :64].astype(np.float32)
    broken = image.copy()
    broken[3, 3] = np.nan
    report = compared(db, [image, image / 1e30], [broken, image * 1e20, image + 1])
    assert found(report) == {(0, 1), (1, 1), (0, 2), (1, 2)}
    assert "0 training and 1 test images were not compared" in str(report)
