"""Pixels read in runs of images that lie side by side, a few of which are held: every image is read once an epoch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.errors import DataError
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
"""What is held is a share of the budget, and no more than the next."""
_HELD_BYTES: Final = 256 << 20
_RAGGED: Final = 1 << 20
"""What an image of no fixed size is taken to hold, in bytes."""


def run_of(stores: Stores, held: int | None = None) -> tuple[int, int]:
    """How many images a run has, and how many runs are mixed.

    Args:
        stores: The open workspace.
        held: Bytes of pixels to be mixed; by default by the machine's memory.

    Raises:
        DataError: Less than a byte.
    """
    if held is not None and held < 1:
        raise DataError(f"{held} bytes hold no image: give more.")
    image = max((info.row_bytes for info in stores.columns.segments(ARRAY) if info.codec == "dense"), default=_RAGGED)
    room = min(_HELD_BYTES, stores.budget.memory // _SHARE) if held is None else held
    length = max(1, min(_MOST, _RUN_BYTES // image, room // (2 * image)))
    return length, max(2, room // (length * image))


def lanes_of(mixed: int) -> int:
    """From how many places of an order batches come in turns, where so many runs are held: each mixes several."""
    return max(1, min(_LANES, mixed // _MIXED))


class Runs:
    """Reads whole runs, and keeps the latest.

    Args:
        array: Where the pixels are.
        keys: All images that may be asked for, sorted.
        length: Images of a run.
        held: Runs that are kept.
    """

    def __init__(self, array: SegmentedArray, keys: Keys, length: int, held: int) -> None:
        self.array = array
        self._keys, self._length, self._most = keys, length, held
        self._held: OrderedDict[int, list[NDArray[Any]]] = OrderedDict()

    def read_list(self, keys: Keys) -> list[NDArray[Any]]:
        """The pixels of images, in their order."""
        places = np.searchsorted(self._keys, keys)
        runs = places // self._length
        for run in dict.fromkeys(runs.tolist()):
            if run in self._held:
                self._held.move_to_end(run)
                continue
            self._held[run] = self.array.read_list(self._keys[run * self._length : (run + 1) * self._length])
        found = [
            self._held[run][place % self._length] for run, place in zip(runs.tolist(), places.tolist(), strict=True)
        ]
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        return found
