"""Leak rules: what makes a training image give away a test image. An extension point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.registry import Registry
from odin_graph.served import served, travels
from odin_graph.stores import Stores

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two data set versions that are compared."""

    stores: Stores
    dataset: str
    """The id of the version."""

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The images' keys (n,), in the order of the version."""
        keys: NDArray[np.int64] = self.stores.columns.members(self.dataset).column("key").to_numpy()
        return keys

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """The ids of images, in the order of their keys."""
        return ids_of_keys(self.stores, keys.tolist())

    @property
    def pixels(self) -> PixelReader:
        """The pixels of all images."""
        return self.stores.columns.array(ARRAY)

    def fields(self, *names: str) -> pa.Table:
        """Image fields as columns, a row an image in the order of `keys`; null where missing."""
        images = self.stores.columns.images(list(names), self.keys)
        return images.take(pa.compute.index_in(pa.array(self.keys), images.column("key"))).select(list(names))


@dataclass(frozen=True, eq=False)
class SideOf(Side):
    """Images that are no data set version; ``dataset`` is what they are called."""

    given: NDArray[np.int64]
    """Their keys, each once."""

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The same."""
        return self.given


@travels
@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of a training and a test image, as positions in their data sets."""

    train: Positions
    """(m,) of each listed pair, or, where ``codes`` is given, (n,) the value of every training image as a code."""
    test: Positions
    distance: NDArray[np.float64] | None = None
    """(m,) of each pair; None where two are equal in what counts."""
    coded: bool = False
    note: str = ""
    """What this rule cannot find, for the report."""

    @classmethod
    def equal(cls, train: pa.ChunkedArray | pa.Array, test: pa.ChunkedArray | pa.Array) -> Self:
        """Pairs of equal values; a missing value equals nothing. A million images on each side take a second."""
        both = pa.chunked_array([*_chunks(train), *_chunks(test)], type=train.type)
        codes = pa.compute.fill_null(both.combine_chunks().dictionary_encode().indices, -1).to_numpy()
        number = len(train)
        return cls(codes[:number].astype(np.int64), codes[number:].astype(np.int64), coded=True)

    @cached_property
    def train_images(self) -> Positions:
        """The training images in any pair, sorted."""
        if not self.coded:
            return np.unique(self.train)
        return np.flatnonzero(np.isin(self.train, self.test) & (self.train >= 0))

    @cached_property
    def test_images(self) -> Positions:
        """The test images in any pair, sorted."""
        if not self.coded:
            return np.unique(self.test)
        return np.flatnonzero(np.isin(self.test, self.train) & (self.test >= 0))

    def __len__(self) -> int:
        """The number of pairs, which may be far more than there are images."""
        if not self.coded:
            return len(self.train)
        most = int(max(self.train.max(initial=-1), self.test.max(initial=-1))) + 1
        counts = (np.bincount(codes[codes >= 0], minlength=most) for codes in (self.train, self.test))
        return int(np.dot(*counts))

    def pairs(
        self, k: int | None = None, *, ends: bool = False
    ) -> tuple[Positions, Positions, NDArray[np.float64] | None]:
        """The pairs, by test image: positions of the training and of the test images, and their distances.

        Args:
            k: The first so many: in order of distance where there is one.
            ends: Of pairs with a distance half of them the nearest, and half those at the threshold.
        """
        if not self.coded:
            order = np.lexsort((self.train, self.test) if k is None else (self.train, self.test, self.distance_))
            if ends and k is not None and len(order) > k:
                order = np.concatenate([order[: -(-k // 2)], order[len(order) - k // 2 :]])
            order = order[:k]
            return self.train[order], self.test[order], None if self.distance is None else self.distance[order]
        by_code = np.argsort(self.train, kind="stable")
        codes = self.train[by_code]
        leaking = self.test_images
        first, end = (np.searchsorted(codes, self.test[leaking], side) for side in ("left", "right"))
        if k is not None:
            enough = int(np.searchsorted(np.cumsum(end - first), k)) + 1
            leaking, first, end = leaking[:enough], first[:enough], end[:enough]
        number = end - first
        within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        train = by_code[np.repeat(first, number) + within]
        return train[:k], np.repeat(leaking, number)[:k], None

    @property
    def distance_(self) -> NDArray[np.float64]:
        """Distances, all 0 where two are equal."""
        return np.zeros(len(self.train)) if self.distance is None else self.distance


@served
def ids_of_keys(stores: Stores, keys: list[int]) -> list[str]:
    """The ids of images, in the order of their keys."""
    wanted = np.array(keys, np.int64)
    images = stores.columns.images(["id"], wanted)
    ids: list[str] = images.column("id").take(pa.compute.index_in(pa.array(wanted), images.column("key"))).to_pylist()
    return ids


class LeakRule(Protocol):
    """Finds the training images that give a test image away.

    An entry of the registry is called without arguments and returns one, so that it may be a class with defaults.
    """

    def __call__(self, train: Side, test: Side) -> Matches:
        """All pairs: `Matches.equal` of two columns, or `Matches` of the positions in both data sets."""


LEAK_RULES: Registry[Any] = Registry("leak rule", "odin_graph.leak_rules")


@LEAK_RULES.register("lineage")
class Lineage:
    """The same image, or one of the same root: another crop, frame or slice of one picture, or its new pixels."""

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakRule`."""
        left, right = self._roots(train, "train"), self._roots(test, "test")
        if (left.num_rows, right.num_rows) == (len(train.keys), len(test.keys)):
            return Matches.equal(left.column("root"), right.column("root"))
        # Some were made of several images: two may have more than one root in common, and are one pair.
        pairs = left.join(right, "root", join_type="inner").group_by(["train", "test"]).aggregate([])
        return Matches(pairs.column("train").to_numpy(), pairs.column("test").to_numpy())

    def _roots(self, side: Side, name: str) -> pa.Table:
        """A row an image and root of it, in order: the position, under this name, and ``root``."""
        keys = pa.array(side.keys)
        stored = side.stores.columns.roots(side.keys)
        alone = pa.compute.invert(pa.compute.is_in(keys, stored.column("key").combine_chunks()))
        own = keys.filter(alone)
        all_keys = pa.chunked_array([*stored.column("key").chunks, own])
        roots = pa.chunked_array([*stored.column("root").chunks, own.cast(pa.string())])
        return pa.table({name: pa.compute.index_in(all_keys, keys).cast(pa.int64()), "root": roots}).sort_by(name)


@LEAK_RULES.register("digest")
class Digest:
    """The same pixels, whatever their ids."""

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakRule`."""
        return Matches.equal(train.fields("digest").column(0), test.fields("digest").column(0))


@dataclass(frozen=True)
class FieldRule:
    """The same value of a field, such as the patient."""

    name: str

    def __call__(self, train: Side, test: Side) -> Matches:
        """See `LeakRule`."""
        return Matches.equal(train.fields(self.name).column(0), test.fields(self.name).column(0))


def _chunks(values: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return list(values.chunks) if isinstance(values, pa.ChunkedArray) else [values]
