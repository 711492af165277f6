"""The images at both ends of each unit, cached beside stored activations: `units[3].top(k)` at once."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentInfo
from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.folder import make_near
from odin_graph.neurons import TopLists
from odin_graph.neurons.toplists import KEPT, NO_KEY
from odin_graph.stores import Stores

_SHARE: Final = 384
"""Images of a segment for each that is kept: lists take a sixteenth of its codes at most."""
_LEAST: Final = 8
"""Shorter lists are not kept: so few images are scanned as fast."""

_UNITS: Final = 8192
"""Units of a layer at most: a list takes a third of a millisecond to make, which for millions of units would be most
of the time that storing takes."""

_log = logging.getLogger(__name__)


class Keeping:
    """Makes the lists of a segment while it is written.

    Args:
        folder: The folder of the lists of all segments.
        keys: The keys of the segment's images, sorted.
        units: The number of its units.
    """

    def __init__(self, folder: Path, keys: NDArray[np.int64], units: int) -> None:
        self._folder, self._keys = folder, keys
        self._kept = min(KEPT, len(keys) // _SHARE) if units <= _UNITS else 0
        self._lists: list[dict[str, NDArray[Any]]] = []

    def passing(self, slabs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Pass the slabs on, and make their lists."""
        for slab in slabs:
            if self._kept >= _LEAST:
                lists = TopLists.build(self._keys, [slab], self._kept).arrays()
                self._lists.append({name: _wide(array, self._kept) for name, array in lists.items()})
            yield slab

    def named(self, segment: SegmentInfo) -> None:
        """Save the lists. If that fails, nothing is lost: units without lists are scanned."""
        if not self._lists:
            return
        place = _place(self._folder, segment)
        temporary = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
        try:
            make_near(temporary)
            for name in self._lists[0]:
                np.save(temporary / f"{name}.npy", np.concatenate([part[name] for part in self._lists]))
            temporary.replace(place)
        except OSError as error:
            _log.info("the lists of %s are not kept: %s", segment.uri, error)
            with suppress(OSError):
                shutil.rmtree(temporary, ignore_errors=True)


def keeping(stores: Stores) -> Callable[[NDArray[np.int64], int], Keeping]:
    """The argument of `materialize` that keeps lists."""
    return lambda keys, units: Keeping(_folder(stores), keys, units)


def first_of(unit_set: UnitSet, unit: int, *, largest: bool) -> NDArray[np.int64] | None:
    """Keys of the images with a unit's largest, or smallest, values, as far as all lists reach; None without lists.

    Values that are missing are in no list.
    """
    segments = unit_set.array.segments
    lists = [_read(_folder(unit_set.stores), segment, unit) for segment in segments]
    every = [part for part in lists if part is not None]
    if not every or len(every) < len(lists) or sum(info.rows for info in segments) != len(unit_set.coverage()):
        return None
    kept = min(part.top_keys.shape[1] for part in every)  # beyond it, a list may lack an image
    merged = TopLists.merged(every, kept)
    keys: NDArray[np.int64] = (merged.top_keys if largest else merged.bottom_keys)[0]
    found: NDArray[np.int64] = keys[keys != NO_KEY]
    return found


def _read(folder: Path, segment: SegmentInfo, unit: int) -> TopLists | None:
    place = _place(folder, segment)
    if not place.is_dir():
        return None
    try:
        arrays = {file.stem: np.array(np.load(file, mmap_mode="r")[unit : unit + 1]) for file in place.glob("*.npy")}
        return TopLists.of_arrays(arrays)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a cache, the scan answers
        _log.info("the lists of %s cannot be read: %s", segment.uri, error)
        return None


def _wide(array: NDArray[Any], kept: int) -> NDArray[Any]:
    """Lists of one length for all slabs."""
    if array.ndim == 1 or array.shape[1] == kept:
        return array
    fill = NO_KEY if array.dtype.kind == "i" else np.nan
    return np.pad(array, ((0, 0), (0, kept - array.shape[1])), constant_values=fill)


def _folder(stores: Stores) -> Path:
    return stores.cache / "toplists"


def _place(folder: Path, segment: SegmentInfo) -> Path:
    return folder / segment.id.replace("/", "_")
