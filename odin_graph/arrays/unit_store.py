"""Segments of units in the store: written a slab of units at a time, read as columns of a few units."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import units
from odin_graph.arrays.contents import Contents, NewSegment
from odin_graph.arrays.files import Files
from odin_graph.arrays.keys import Keys
from odin_graph.arrays.segment import Codec, SegmentInfo
from odin_graph.arrays.unit_cache import UnitCache
from odin_graph.arrays.units import DTYPES, Slab, UnitCodec
from odin_graph.errors import QueryError, ShapeError, UnknownNameError

New = Callable[[str, Keys, Codec, str, tuple[int, ...]], AbstractContextManager[NewSegment]]

_ROOM: Final = 64 << 20
"""Bytes that a slab takes as float32 when it is read to be written again or checked."""
_SCALES_CACHED: Final = 32 << 20
"""Bytes of scales that are cached in memory."""


class UnitStore:
    """Segments of units in an `ArrayStore`, which has this as ``units``.

    Args:
        files: Below the store's root.
        new: Makes the info of a new segment, and names it when it is complete.
        contents: Checks a segment against its digest before it is read.
        cache: For columns that are read often; None for no cache.
    """

    def __init__(self, files: Files, new: New, contents: Contents, cache: UnitCache | None) -> None:
        self._files, self._new, self._contents, self._cache = files, new, contents, cache
        self._scales: OrderedDict[str, NDArray[np.float64]] = OrderedDict()

    def write(
        self,
        array: str,
        keys: Keys,
        number: int,
        slabs: Iterable[NDArray[np.float32]],
        codec: UnitCodec,
        *,
        noise: NDArray[np.float64] | None = None,
    ) -> SegmentInfo:
        """Store the activations of units for images as a new segment.

        Args:
            array: The array that it is a piece of.
            keys: (n,) distinct keys of the images, in any order.
            number: How many units there are.
            slabs: All units in their order, some at a time: float32 (units, n), in the order of the keys. For speed
                as many at once as `units.slab_units` says.
            codec: ``u8``, ``f16`` or ``f32``.
            noise: (number,) how far a value may differ when the model is run again.

        Raises:
            ShapeError: Keys or slabs that cannot be stored.
            SpaceError: No space is left.
        """
        if codec not in DTYPES:
            raise UnknownNameError.of("codec of units", codec, DTYPES)
        order = None if (np.diff(keys) > 0).all() else np.argsort(keys, kind="stable")

        def stored() -> Iterator[Slab]:
            first = 0
            for values in slabs:
                if values.ndim != 2 or values.shape[1] != len(keys) or values.dtype != np.float32:
                    raise ShapeError(
                        f"{array}: units of {len(keys)} images came as {values.dtype} of shape {values.shape}, and a "
                        "slab is float32 (units, images)."
                    )
                slab = units.coded(values if order is None else values[:, order], codec)
                if noise is not None:
                    slab.scales[:, -1] = noise[first : first + len(values)]
                first += len(values)
                yield slab

        return self.write_stored(array, keys, number, DTYPES[codec], stored())

    def write_stored(self, array: str, keys: Keys, number: int, dtype: str, slabs: Iterable[Slab]) -> SegmentInfo:
        """As `write`, for units in the form that another segment stored, in the order of their keys."""
        if number < 1 or not len(keys):
            raise ShapeError(f"{array}: {number} units of {len(keys)} images hold nothing that could be stored.")
        if (np.diff(np.sort(keys)) == 0).any():
            raise ShapeError(f"{array}: a key is given twice; a segment has each key once.")
        ordered = np.sort(np.asarray(keys, np.int64))
        with self._new(array, ordered, "units", dtype, (number,)) as new:
            units.write(new.path, (number, len(ordered)), dtype, slabs, self._files.context())
        return new.info

    def columns(
        self, info: SegmentInfo, chosen: NDArray[np.int64], positions: slice | None = None, *, keep: bool = True
    ) -> NDArray[Any]:
        """The activations of units, as stored, (units, n) in the requested order.

        Args:
            info: The segment.
            chosen: Numbers of units; one may come twice.
            positions: A slice of step 1 of the images; by default all.
            keep: Keep whole columns decoded, for the next time.

        Raises:
            QueryError: There is no such unit.
            StoreError: The segment cannot be read.
        """
        chosen = self._checked(info, chosen)

        def read(numbers: NDArray[np.int64]) -> NDArray[Any]:
            with self._files.reading(info.uri):
                return units.read(self._path(info), info, numbers, positions or slice(None), self._files.context())

        if self._cache is None or not len(chosen) or (self._cache.lacks(info, chosen) and not keep):
            return read(chosen)
        if positions is None:
            return self._cache.columns(info, chosen, read)
        if not self._cache.lacks(info, chosen):
            return self._cache.columns(info, chosen, read)[:, positions]
        return read(chosen)

    def cold(self, info: SegmentInfo, chosen: NDArray[np.int64]) -> int:
        """How many of these units have no decoded columns in the cache."""
        chosen = self._checked(info, chosen)
        return len(chosen) if self._cache is None else self._cache.lacks(info, chosen)

    def scales(self, info: SegmentInfo, chosen: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """The scales (units, 6) of some units, by default of all: see `units.Slab`."""
        few = None if chosen is None else self._checked(info, chosen)
        cached = self._scales.get(info.id)
        if cached is None:
            small = info.shape[0] * 8 * units.SCALES <= _SCALES_CACHED // 4
            with self._files.reading(info.uri):
                cached = units.read_scales(self._path(info), None if small else few, self._files.context())
            if not small:  # scales of millions of units take more memory than the columns that are read
                return cached
            cached.flags.writeable = False
            self._scales[info.id] = cached
            while sum(scales.nbytes for scales in list(self._scales.values())) > _SCALES_CACHED:
                self._scales.popitem(last=False)
        return cached if few is None else cached[few]

    def slabs(self, info: SegmentInfo, room: int = _ROOM) -> Iterator[Slab]:
        """All units in their order, some at a time, as they are stored.

        Args:
            info: The segment.
            room: Bytes that a slab would take as float32.
        """
        with self._files.reading(info.uri):
            for slab in units.slabs_of(self._path(info), info, room, self._files.context()):
                self._path(info)  # what was lost meanwhile is a hole in it, that a purge would write again
                yield slab

    def faults(self, info: SegmentInfo, *, deep: bool) -> Iterator[str]:
        """What is wrong with a segment, each in a phrase; `deep` reads every tile."""
        path, context = self._path(info), self._files.context()
        yield from units.faults(path, info, context)
        if deep:
            units.check_values(path, info, _ROOM, context)

    def _checked(self, info: SegmentInfo, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        chosen = np.asarray(chosen, np.int64)
        number = info.shape[0]
        if len(chosen) and not (int(chosen.min()) >= 0 and int(chosen.max()) < number):
            wrong = chosen[(chosen < 0) | (chosen >= number)][0]
            raise QueryError(f"There is no unit {wrong}: {info.array} has {number:,}, numbered from 0.")
        return chosen

    def _path(self, info: SegmentInfo) -> str:
        return self._contents.verified(info)
