"""Slabs: the values of some units over all images, so that the memory for any layer is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from odin_graph.config import Budget
from odin_graph.deadline import check
from odin_graph.errors import QueryError, ShapeError

T = TypeVar("T")

_CELLS: Final = 2**18
"""Values that one thread works on at once: 2 MiB as float64, so that what is computed of them stays in its cache."""
_OF_MAPS: Final = 2**21
"""For maps more, since channels of one block share the masks."""
_MAPS: Final = 4
"""Axes of maps: units, images, height, width."""


@dataclass(frozen=True, eq=False)
class Slab:
    """Some units over all n images, in the order of the images' keys: the same images in every slab of a stream."""

    units: NDArray[np.int64]
    """(u,) their numbers in the layer."""
    values: NDArray[np.float32]
    """(u, n) as captured; of channels whose maps are looked at (u, n, h, w)."""

    def __post_init__(self) -> None:
        if self.values.ndim not in (2, _MAPS) or self.units.shape != self.values.shape[:1]:
            raise ShapeError(
                f"A slab of {self.units.shape} units has values {self.values.shape}: it needs one row for each unit, "
                "(units, images), or (units, images, height, width) for maps."
            )


Slabs: TypeAlias = Iterable[Slab]


def checked(slabs: Slabs, images: int | None = None, *, maps: bool | None = False) -> Iterator[Slab]:
    """The slabs that hold a unit, one by one; between two of them a time limit is looked at.

    Args:
        slabs: The stream.
        images: How many images there must be; None for whatever the first slab has.
        maps: Whether maps (u, n, h, w) are wanted, and not values (u, n); None for either.

    Raises:
        QueryError: There is no unit, or no image.
        ShapeError: Slabs of different images, or maps where values are wanted, or the other way round.
    """
    empty = True
    for slab in slabs:
        check()
        if not len(slab.units):
            continue
        empty, n = False, slab.values.shape[1]
        if not n:
            raise QueryError("There is no image to look at the units with: the query selects none.")
        if images is not None and n != images:
            raise ShapeError(
                f"The units from {slab.units[0]} on have values of {n:,} images and not of {images:,}: give all units "
                "the same images, in the order of their keys."
            )
        if maps is not None and maps != (slab.values.ndim == _MAPS):
            wanted = "maps (units, images, height, width)" if maps else "one value an image (units, images)"
            raise ShapeError(f"The units from {slab.units[0]} on are {slab.values.shape}, and asked for are {wanted}.")
        images = n
        yield slab
    if empty:
        raise QueryError("There is no unit to look at: choose at least one.")


def over_blocks(
    slabs: Slabs, work: Callable[[NDArray[np.int64], NDArray[np.float32]], T], images: int | None = None
) -> list[T]:
    """Call ``work(units, values)`` on blocks of rows, on all cores, and return the results in order.

    Args:
        slabs: The stream, of values (u, n).
        work: Of some units (b,) and their values (b, n) as float32, C-contiguous.
        images: How many images there must be; None for whatever the first slab has.
    """
    results: list[T] = []
    with workers() as pool:
        for slab in checked(slabs, images):
            results.extend(pool.map(lambda block: work(*block), blocks(slab)))
    return results


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, each with one of BLAS: those of several would wait for each other."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(Budget.of_machine().threads) as pool:
        yield pool


def blocks(slab: Slab) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Some rows at a time, few enough for what is computed of them to fit in memory."""
    cells = _OF_MAPS if slab.values.ndim == _MAPS else _CELLS
    rows = max(1, cells // (slab.values[0].size or 1))
    for first in range(0, len(slab.units), rows):
        part = slice(first, first + rows)
        yield slab.units[part], np.ascontiguousarray(slab.values[part], np.float32)
