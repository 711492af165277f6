"""Which images come in which batch of which epoch: a function of seed and epoch, the same in every process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import check_seed, whole
from odin_graph.checked import check_fields
from odin_graph.errors import DataError

Positions = NDArray[np.int64]


class Drawn(NamedTuple):
    """A batch."""

    positions: Positions
    turns: Positions
    """How often each image came before in the epoch: always 0 where there are no weights."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Epochs:
    """The order of images.

    Without `block` an epoch is a permutation of all. With it, it is made for reading from a disk: runs of images that
    lie side by side are drawn in random order, some of them at once, and the images of these are mixed. Two images of
    one run are then never farther apart than one mixture.
    """

    keys: NDArray[np.int64]
    """Of the images (n,), by position."""
    batch_size: int
    seed: int = 0
    shuffle: bool = True
    weights: NDArray[np.float64] | None = None
    """How often each image comes (n,), up to a factor: n draws with replacement. None: each once."""
    block: int | None = None
    """Images of a run."""
    mixed: int = 16
    """Runs that are mixed."""
    lanes: int = 1
    """Batches come from so many places of the order in turns, so that workers that take turns, two or four of them,
    each read runs of their own. The order is of this number, and not of the workers'."""
    drop_last: bool = False

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            DataError: No images, a size below 1, or weights that are none.
        """
        check_fields(self, "loader")
        if not len(self.keys):
            raise DataError("There is no image to load: the query or data set selects none.")
        if (size := whole(self.batch_size)) is None or size < 1:
            raise DataError(f"A batch of {self.batch_size} images is none: give 1 or more.")
        check_seed(self.seed)
        if self.weights is not None:
            weights = self.weights
            if (
                weights.shape != self.keys.shape
                or not np.isfinite(weights).all()
                or (weights < 0).any()
                or not weights.any()
            ):
                raise DataError(
                    f"weights= of shape {weights.shape} are none: give {len(self.keys)} numbers of 0 or more, "
                    "not all 0."
                )
            if not self.shuffle:
                raise DataError("weights= draw images at random: leave shuffle=False out.")

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.keys), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def order(self, epoch: int) -> Positions:
        """The positions of an epoch (n,), in order."""
        number = len(self.keys)
        if not self.shuffle:
            return np.arange(number)
        generator = np.random.default_rng([self.seed, epoch])
        drawn = np.arange(number)
        if self.weights is not None:
            drawn = generator.choice(number, number, p=self.weights / self.weights.sum())
        if self.block is None:
            return generator.permutation(drawn)
        drawn = drawn[np.argsort(self.keys[drawn], kind="stable")]
        runs = [drawn[start : start + self.block] for start in range(0, number, self.block)]
        turns = generator.permutation(len(runs))
        mixtures = [
            generator.permutation(np.concatenate([runs[turn] for turn in turns[start : start + self.mixed]]))
            for start in range(0, len(runs), self.mixed)
        ]
        return np.concatenate(mixtures)

    def batches(self, epoch: int, lanes: int | None = None) -> list[Drawn]:
        """The batches of an epoch.

        Args:
            epoch: From 0.
            lanes: Another number than that of the order. The batches are the same for any, in another order.
        """
        lanes = self.lanes if lanes is None else lanes
        order = self.order(epoch)
        turns = np.zeros(len(order), np.int64) if self.weights is None else _turns(order)
        parts = [slice(start, start + self.batch_size) for start in range(0, len(order), self.batch_size)]
        plan = [Drawn(order[part], turns[part]) for part in parts[: len(self)]]
        share = -(-len(plan) // max(1, lanes))
        return [plan[place] for turn in range(share) for place in range(turn, len(plan), share)]

    def describe(self) -> dict[str, Any]:
        """What decides the order, as JSON has it; the images and weights by digest."""
        digest = hashlib.sha256(self.keys.astype("<i8").tobytes())
        if self.weights is not None:
            digest.update(self.weights.astype("<f8").tobytes())
        return {
            "images": len(self.keys),
            "digest": digest.hexdigest(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "weighted": self.weights is not None,
            "block": self.block,
            "mixed": self.mixed if self.block else None,
            "lanes": self.lanes,
            "drop_last": self.drop_last,
        }


def _turns(order: Positions) -> Positions:
    """How often each was in the list before."""
    by = np.argsort(order, kind="stable")
    ranked = order[by]
    first = np.searchsorted(ranked, ranked)
    turns = np.empty(len(order), np.int64)
    turns[by] = np.arange(len(order)) - first
    return turns


def balanced(targets: Any) -> NDArray[np.float64]:
    """Weights (n,) that make every class equally likely.

    Raises:
        DataError: The targets are no class indexes.
    """
    array = np.asarray(targets)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError('weights="balanced" is for classes: give weights= as an array, or the name of a numeric field.')
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1.0 / counts[place]
    return weights
