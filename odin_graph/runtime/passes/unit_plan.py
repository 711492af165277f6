"""The units that are wanted of a checkpoint's layers, and the bytes that storing them takes, computed beforehand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray
from odin_graph.arrays.units import DTYPES, SCALES, UnitCodec
from odin_graph.catalog.activations.activations import LayerRef, rows_of
from odin_graph.catalog.activations.unit_sets import UnitRef, units_of
from odin_graph.errors import SpaceError, UnknownNameError
from odin_graph.runtime.layers.unit_pooling import units_by
from odin_graph.runtime.passes.spill import IN_MEMORY
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

POSITIONS: Final = 1 << 18
"""Images of a segment at most: one job writes one."""
_OVERHEAD: Final = 1.02
"""Of data that does not compress."""


@dataclass(frozen=True, slots=True)
class Want:
    """The units of a layer, in a codec.

    Raises:
        UnknownNameError: There is no such pooling or codec; lists those there are.
    """

    layer: str
    pooling: str = "units"
    """``units``, ``channels-max``, ``channels-mean``, ``channels-argmax``."""
    codec: UnitCodec = "u8"

    def __post_init__(self) -> None:
        units_by(self.pooling)
        if self.codec not in DTYPES:
            raise UnknownNameError.of("codec of units", self.codec, DTYPES)


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What storing some layers takes. Bytes are those before compression, which nobody knows beforehand: at most."""

    images: int
    """Images that are run: those of which something is missing."""
    jobs: int
    spill: int
    """Bytes on the local disk while it runs, for one job; 0 where memory is enough."""
    stored: int
    """Bytes that stay."""
    spill_free: int
    stored_free: int | None
    """None in an object store."""
    shared: bool
    """Whether both are the same disk."""

    @property
    def peak(self) -> int:
        """Bytes of disk while it runs."""
        return self.spill + self.stored

    @property
    def fits(self) -> bool:
        """Whether there is so much space."""
        if self.shared:
            return self.peak <= self.spill_free
        return self.spill <= self.spill_free and (self.stored_free is None or self.stored <= self.stored_free)

    def check(self) -> None:
        """Refuse before anything runs.

        Raises:
            SpaceError: It does not fit.
        """
        if not self.fits:
            free = self.spill_free if self.shared or self.spill > self.spill_free else self.stored_free or 0
            smaller = " Smaller jobs need less on the way: give positions=." if self.spill > self.stored else ""
            raise SpaceError(
                f"Storing this takes up to {_mib(self.peak)} of disk ({_mib(self.spill)} on the way, "
                f"{_mib(self.stored)} to stay), and {_mib(free)} are free. Nothing was run. Make room, for example "
                f"with `odin gc`, ask for fewer images or layers, or for codec='u8'.{smaller}"
            )

    def __str__(self) -> str:
        """In a line."""
        return (
            f"{self.images:,} images to run, in {self.jobs} jobs: up to {_mib(self.peak)} of disk, "
            f"{_mib(self.stored)} of it to stay."
        )


def plan_of(
    stores: Stores,
    sets: Sequence[tuple[UnitRef | LayerRef, int]],
    keys: Keys,
    positions: int = POSITIONS,
) -> UnitPlan:
    """What storing these sets, each with its number of units, takes for images.

    Sets that are made from the same pass and differ in codec alone share their bytes on the way.
    """
    wanted = np.unique(np.asarray(keys, np.int64))
    missing = [(ref, units, array_of(stores, ref).missing(wanted)) for ref, units in sets]
    images = np.unique(np.concatenate([wanted[:0], *(absent for _, _, absent in missing)]))
    jobs = -(-len(images) // positions)
    widths = {passed(ref): units for ref, units, absent in missing if len(absent)}
    spill = 4 * sum(widths.values()) * min(len(images), positions)
    stored = 0
    for ref, units, absent in missing:
        size = np.dtype(DTYPES[ref.codec]).itemsize if isinstance(ref, UnitRef) else 4
        stored += int(len(absent) * units * size * _OVERHEAD) + (8 * SCALES * units * jobs if len(absent) else 0)
    root = stores.arrays.raw.local
    store_folder = _existing(root) if root is not None else None
    cache_folder = _existing(stores.cache)
    return UnitPlan(
        images=len(images),
        jobs=jobs,
        spill=0 if spill <= IN_MEMORY else spill,
        stored=stored,
        spill_free=shutil.disk_usage(cache_folder).free,
        stored_free=None if store_folder is None else shutil.disk_usage(store_folder).free,
        shared=store_folder is not None and store_folder.stat().st_dev == cache_folder.stat().st_dev,
    )


def array_of(stores: Stores, ref: UnitRef | LayerRef) -> SegmentedArray:
    """The array of a set, of units or of rows: it knows which images are stored."""
    if isinstance(ref, LayerRef):
        return rows_of(stores, ref.set_id)
    return SegmentedArray(stores.arrays, units_of(stores, ref.set_id).segments)


def passed(ref: UnitRef | LayerRef) -> tuple[str, str]:
    """What sets that are made of the same numbers have in common."""
    return (ref.digest, ref.pooling) if isinstance(ref, UnitRef) else (ref.layer, f"rows {ref.pooling}")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _mib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
