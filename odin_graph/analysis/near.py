"""Near duplicates between two sets: by small gray pictures, which need no model, or by a layer's embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.leak_rules import LEAK_RULES, Matches, Side
from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.ops import Resize
from odin_graph.vectors.metric import prepared, with_directions

_SIDE: Final = 10
"""Pixels along a side of the small gray picture: with fewer, digits look alike; with more, a blurred copy differs."""
_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""The weights of red, green and blue in a gray copy (ITU-R BT.601), with or without an alpha band."""
_BLURS: Final = (0.02, 0.035, 0.05)
"""Deviations of the Gaussian blurs that are undone, in image sides."""
_LOOSE: Final = 8
"""How many times further apart, before a blur is undone, two images may be."""
_PLAIN: Final = 1e-3
"""An image is of one tone if its deviation is this share of its brightness."""
_FEWEST: Final = 8
"""Pixels along a side: smaller images resemble too many others."""
_BLOCK: Final = 2_048
"""Rows and columns of a block of the product of all with all: it stays in the processor's cache."""
_IMAGES: Final = 4_096
"""Images whose pixels are read at once."""

Judge = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""The similarity of pairs of a training and a test vector, as positions."""


@LEAK_RULES.register("near")
@dataclass(frozen=True)
class NearPicture:
    """Images that look alike: small gray pictures of them are all but proportional.

    Of 10 x 10 cosine coefficients the mean is left out and the length divided, so brightness and contrast play no part;
    what a slight blur took from either side is undone. That finds an image that was stored again, resized, made
    brighter or slightly blurred, and not one that was rotated, mirrored, shifted or cropped, as the report says.
    """

    within: float = 3.0
    """Thousandths that the correlation of the pictures may fall short of 1: of digits of 28 x 28 no two in a thousand
    are so near. Images that are alike in all but details, as scans of one view are, need less, or a layer."""

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakRule`; the distance is in thousandths."""
        if not 0 <= self.within <= 100:
            raise QueryError(
                f'within= of "near" is a number of thousandths, 0 to 100, that the correlation of two small pictures '
                f"may fall short of 1, not {self.within!r}: 3 is usual."
            )
        left, right = pictures(train), pictures(test)
        found = near(
            _unit(left),
            _unit(right),
            at_least=1.0 - self.within / 1000,
            loose=1.0 - _LOOSE * max(self.within, 1e-3) / 1000,
            judge=partial(_unblurred, left, right),
        )
        assert found.distance is not None
        note = (
            "near compares small gray pictures: rotated, mirrored, shifted and cropped copies are not seen by it, "
            'compare embeddings for them, rules=[exp.layer("...")]'
        )
        skipped = [int((~rows.any(axis=1)).sum()) for rows in (left, right)]
        if any(skipped):
            note += (
                f"; {skipped[0]:,} training and {skipped[1]:,} test images were not compared, since they are of one "
                f"tone, not finite, or less than {_FEWEST} pixels wide or high"
            )
        return Matches(found.train, found.test, found.distance * 1000, note=note)


@dataclass(frozen=True)
class NearEmbedding:
    """Images whose embeddings are near: cosine distance, 0 where they point the same way, or both are zero."""

    layer: LayerRef
    within: float = 0.02

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakRule`; embeddings that are missing are computed and stored first."""
        from odin_graph.runtime.passes.embed import embeddings

        left, right = (embeddings(side.stores, self.layer, side.keys) for side in (train, test))
        return near(*with_directions(left, right), at_least=1.0 - self.within)


def near(
    train: NDArray[np.float32],
    test: NDArray[np.float32],
    *,
    at_least: float,
    loose: float | None = None,
    judge: Judge | None = None,
) -> Matches:
    """All pairs whose similarity is at least so much, exactly: blocks of a product of matrices, then float64.

    Args:
        train: (n, d) of unit length, float32.
        test: (m, d) of unit length, float32.
        at_least: The cosine similarity.
        loose: The product below which no pair is looked at; by default what float32 rounds.
        judge: Says the similarity of pairs; by default their product in float64.

    Returns:
        Pairs with their cosine distance, 1 - similarity.
    """
    least = at_least - 1e-4 if loose is None else loose
    similarity = judge or partial(_similar, train, test)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    for first in range(0, len(test), _BLOCK):
        part = test[first : first + _BLOCK]
        for begin in range(0, len(train), _BLOCK):
            check()
            product = part @ train[begin : begin + _BLOCK].T
            if product.size and product.max() >= least:
                rows, columns = np.nonzero(product >= least)
                for at in range(0, len(rows), _BLOCK):
                    left, right = columns[at : at + _BLOCK] + begin, rows[at : at + _BLOCK] + first
                    similar = similarity(left, right)
                    kept = similar >= at_least - 1e-7
                    found.append((left[kept], right[kept], np.maximum(1.0 - similar[kept], 0.0)))
    empty = np.zeros(0, np.int64)
    left, right, away = (np.concatenate(parts) for parts in zip((empty, empty, np.zeros(0)), *found, strict=True))
    return Matches(left, right, away)


def pictures(side: Side) -> NDArray[np.float32]:
    """The cosine coefficients (n, 100) of a small gray picture of each image, without the mean.

    Zeros for an image that has no shape to compare; of a huge image those of its overview.
    """
    from scipy.fft import dctn  # half a second that opening a workspace need not wait for

    pixels = side.stores.columns.array(ARRAY)
    found = np.zeros((len(side.keys), _SIDE * _SIDE), np.float32)
    resize = Resize(size=(_SIDE, _SIDE))
    for at in range(0, len(side.keys), _IMAGES):
        images = pixels.read_displayed(side.keys[at : at + _IMAGES])
        for shape in {image.shape for image in images}:
            if min(shape[:2]) < _FEWEST:
                continue
            places = [place for place, image in enumerate(images) if image.shape == shape]
            bands = _LUMA if shape[-1] in (3, 4) else np.full(shape[-1], 1 / shape[-1])
            gray = np.stack([images[place][..., : len(bands)] @ bands for place in places])[..., None]
            small = dctn(resize(gray)[..., 0], axes=(1, 2), norm="ortho").reshape(len(places), -1)
            brightness, small[:, 0] = np.abs(small[:, 0]), 0
            length = np.linalg.norm(small, axis=1)
            clear = np.isfinite(length) & (length > _PLAIN * brightness)
            scale = np.where(clear, length, 1)[:, None]  # float32 has no room for the squares of some
            found[at + np.array(places)] = np.where(clear[:, None], small / scale, 0)
    return found


def _unblurred(
    left: NDArray[np.float32], right: NDArray[np.float32], train: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The best correlation of pairs, one of which may be blurred."""
    train_rows, test_rows = left[train].astype(np.float64), right[test].astype(np.float64)
    squares = np.add.outer(np.arange(_SIDE) ** 2, np.arange(_SIDE) ** 2).reshape(-1)
    best = np.full(len(train), -1.0)
    for blur in (0.0, *_BLURS):
        kept = np.exp(-((np.pi * blur) ** 2) / 2 * squares)  # what a blur leaves of each coefficient
        for a, b in ((train_rows * kept, test_rows), (train_rows, test_rows * kept)):
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            np.maximum(best, (a * b).sum(axis=1) / lengths, out=best)
    return best


def _similar(
    left: NDArray[np.float32], right: NDArray[np.float32], train: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.float64]:
    a, b = left[train].astype(np.float64), right[test].astype(np.float64)
    return np.where((a == b).all(axis=1), 1.0, (a * b).sum(axis=1))


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return prepared(vectors, "cosine")
