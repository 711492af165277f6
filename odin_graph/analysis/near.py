"""Near duplicates between two sets: by a perceptual hash that needs no model, or by a layer's embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.leak_keys import LEAK_KEYS, Matches, Side
from odin_graph.catalog.activations import LayerRef
from odin_graph.catalog.pixels import ARRAY
from odin_graph.ops import Resize

BITS: Final = 64
_ROWS, _COLUMNS = 8, 9
_BLOCK: Final = 2_048
"""Rows and columns of a block of the product of all with all: it stays in the processor's cache."""
_IMAGES: Final = 4_096
"""Images whose pixels are held at once."""


@LEAK_KEYS.register("near")
@dataclass(frozen=True)
class NearHash:
    """Images that look alike: their 64-bit difference hashes differ in few bits.

    The difference hash compares neighbours in an 8 x 9 grey thumbnail (N. Krawetz, "Kind of Like That", 2013). It
    survives scaling, recompression and changes of brightness, not rotation or cropping. It is computed from the
    pixels when it is asked for.
    """

    within: int = 2
    """Bits of 64 that may differ. Blank or very small images are easily alike: look at the pairs."""

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakKey`; the distance is the number of bits."""
        codes = [_signs(difference_hashes(side)) for side in (train, test)]
        matches = near(codes[0], codes[1], at_least=1.0 - 2.0 * self.within / BITS)
        assert matches.distance is not None
        return Matches(matches.train, matches.test, np.rint(matches.distance * BITS / 2))


@dataclass(frozen=True)
class NearEmbedding:
    """Images whose embeddings are near: cosine distance, 0 where they point the same way."""

    layer: LayerRef
    within: float = 0.02

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakKey`; embeddings that are missing are computed and stored first."""
        from odin_graph.runtime.embed import embeddings

        vectors = [_unit(embeddings(side.stores, self.layer, side.keys)) for side in (train, test)]
        return near(vectors[0], vectors[1], at_least=1.0 - self.within)


def near(train: NDArray[np.float32], test: NDArray[np.float32], *, at_least: float) -> Matches:
    """All pairs whose product is at least so much, exactly: blocks of a matrix product, then float64 for what is close.

    Args:
        train: (n, d) of unit length, float32.
        test: (m, d) of unit length, float32.
        at_least: The cosine similarity.

    Returns:
        Pairs with their cosine distance, 1 - similarity.
    """
    slack = 1e-4  # of float32: what it lets through is judged again
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for first in range(0, len(test), _BLOCK):
        part = test[first : first + _BLOCK]
        for begin in range(0, len(train), _BLOCK):
            product = part @ train[begin : begin + _BLOCK].T
            if product.size and product.max() >= at_least - slack:
                rows, columns = np.nonzero(product >= at_least - slack)
                found.append((columns + begin, rows + first))
    if not found:
        empty = np.zeros(0, np.int64)
        return Matches(empty, empty, np.zeros(0))
    left, right = (np.concatenate(parts) for parts in zip(*found, strict=True))
    similar = np.concatenate(
        [
            np.einsum("ij,ij->i", train[left[at : at + _BLOCK]].astype(np.float64), test[right[at : at + _BLOCK]])
            for at in range(0, len(left), _BLOCK)
        ]
    )
    kept = similar >= at_least - 1e-7
    return Matches(left[kept], right[kept], np.maximum(1.0 - similar[kept], 0.0))


def difference_hashes(side: Side) -> NDArray[np.bool_]:
    """The bits (n, 64) of each image of a side, in its order; of a huge one those of its overview."""
    pixels = side.stores.columns.array(ARRAY)
    bits = np.empty((len(side.keys), BITS), np.bool_)
    resize = Resize(size=(_ROWS, _COLUMNS))
    for at in range(0, len(side.keys), _IMAGES):
        images = pixels.read_displayed(side.keys[at : at + _IMAGES])
        for shape in {image.shape for image in images}:
            places = [place for place, image in enumerate(images) if image.shape == shape]
            grey = np.stack([images[place] for place in places]).astype(np.float32).mean(axis=-1, keepdims=True)
            small = resize(grey)[..., 0]
            bits[at + np.array(places)] = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(places), BITS)
    return bits


def _signs(bits: NDArray[np.bool_]) -> NDArray[np.float32]:
    """As unit vectors, whose product says in how many bits two differ."""
    return np.where(bits, 1, -1).astype(np.float32) / np.float32(np.sqrt(BITS))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)
