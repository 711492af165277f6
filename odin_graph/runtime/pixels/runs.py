"""Pixels read in runs of images that lie side by side, a few of which are cached: every image is read once an epoch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.config import Budget
from odin_graph.errors import DataError
from odin_graph.served import served
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

_RUN_BYTES: Final = 4 << 20
"""Of one run: large enough that looking for its place costs nothing beside reading it."""
_LANES: Final = 4
"""Workers that read without reading what another reads, too."""
_MIXED: Final = 8
"""Runs that the batches of one place are mixed of, at least."""
_MOST: Final = 1024
_SHARE: Final = 32
"""Cached pixels take a share of the budget, but no more than so many bytes."""
_CACHED_BYTES: Final = 256 << 20
_RAGGED: Final = 1 << 20
"""What an image of no fixed size is taken to have, in bytes."""


@served
def image_bytes_of(stores: Stores) -> int:
    """The bytes of the largest image of a fixed size."""
    return max((info.row_bytes for info in stores.columns.segments(ARRAY) if info.codec == "dense"), default=_RAGGED)


def run_of(image: int, memory: int | None = None) -> tuple[int, int]:
    """How many images a run has, and how many runs are mixed.

    Args:
        image: Bytes of an image.
        memory: Bytes of pixels to be mixed; by default by the machine's memory.

    Raises:
        DataError: Less than a byte.
    """
    if memory is not None and memory < 1:
        raise DataError(f"{memory} bytes hold no image: give more.")
    room = min(_CACHED_BYTES, Budget.of_machine().memory // _SHARE) if memory is None else memory
    length = max(1, min(_MOST, _RUN_BYTES // image, room // (2 * image)))
    return length, max(2, room // (length * image))


def lanes_of(mixed: int) -> int:
    """From how many places of an order batches come in turns, where so many runs are mixed: each mixes several."""
    return max(1, min(_LANES, mixed // _MIXED))


class Runs:
    """Reads whole runs, and keeps the latest.

    Args:
        array: Where the pixels are.
        keys: All images that may be asked for, sorted.
        length: Images of a run.
        kept: Runs that stay cached.
    """

    def __init__(self, array: PixelReader, keys: Keys, length: int, kept: int) -> None:
        self.array = array
        self._keys, self._length, self._most = keys, length, kept
        self._cached: OrderedDict[int, list[NDArray[Any]]] = OrderedDict()

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """The pixels of images, in their order."""
        places = np.searchsorted(self._keys, keys)
        runs = places // self._length
        for run in dict.fromkeys(runs.tolist()):
            if run in self._cached:
                self._cached.move_to_end(run)
                continue
            self._cached[run] = self.array.read_list(self._keys[run * self._length : (run + 1) * self._length])
        found = [
            self._cached[run][place % self._length] for run, place in zip(runs.tolist(), places.tolist(), strict=True)
        ]
        while len(self._cached) > self._most:
            self._cached.popitem(last=False)
        return found
