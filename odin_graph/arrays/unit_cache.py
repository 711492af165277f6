"""Columns of units that are asked for often, decoded: one sparse, memory-mapped file a segment.

Never the truth: named by segment, filled from it unit by unit, dropped at any time, shared by processes. Behind the
columns stands a byte a unit that says whether its column is there, written after it. A power cut may lose one and
keep the other, so a file is of one boot of the machine.
"""

from __future__ import annotations

import mmap
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from odin_graph.arrays.segment import SegmentInfo
from odin_graph.folder import make_near

_HELD: Final = 64
"""Segments that stay mapped."""
_SUFFIX: Final = ".units"
_ASK_AGAIN: Final = 64 << 20
"""Bytes that are written between two looks at how much all files take."""


@dataclass(frozen=True, eq=False)
class _Mapped:
    file: Path
    columns: NDArray[Any]
    """(units, n), read-only."""
    there: NDArray[np.uint8]
    """(units,)."""


class UnitCache:
    """Columns under a budget; the segments that were not asked for longest go first.

    Args:
        folder: A local folder, of these files alone.
        budget: Bytes that all columns together may take on the disk.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget
        self._mapped: OrderedDict[str, _Mapped] = OrderedDict()
        self._lock = threading.Lock()
        self._written = _ASK_AGAIN  # other processes, and earlier ones, may have filled it

    def columns(
        self, info: SegmentInfo, units: NDArray[np.int64], read: Callable[[NDArray[np.int64]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Whole columns (units, n) in the order asked for, as they are stored; those that are not here are read first.

        Args:
            info: The segment.
            units: Numbers of units, each within the segment.
            read: Gives columns from the segment.
        """
        held = self._map(info)
        if held is None:
            return read(units)
        missing = np.unique(units[held.there[units] == 0])
        if len(missing):
            fresh = read(missing)
            if not self._keep(info, held, missing, fresh):
                return fresh if np.array_equal(missing, units) else read(units)
        found: NDArray[Any] = held.columns[units]
        return found

    def lacks(self, info: SegmentInfo, units: NDArray[np.int64]) -> int:
        """How many of these are not here."""
        held = self._map(info, create=False)
        return len(units) if held is None else int(np.count_nonzero(held.there[units] == 0))

    def _map(self, info: SegmentInfo, *, create: bool = True) -> _Mapped | None:
        with self._lock:
            held = self._mapped.get(info.id)
            if held is not None:
                self._mapped.move_to_end(info.id)
                try:
                    os.utime(held.file)
                except OSError:  # dropped by another process: what is mapped is good as long as we hold it
                    del self._mapped[info.id]
                    held = None
            if held is None and info.rows and info.row_bytes * info.rows:
                try:
                    held = self._open(info, create)
                except (OSError, ValueError):  # a folder that cannot be written costs speed, not the answer
                    return None
                if held is not None:
                    self._mapped[info.id] = held
                    while len(self._mapped) > _HELD:
                        self._mapped.popitem(last=False)
            return held

    def _open(self, info: SegmentInfo, create: bool) -> _Mapped | None:
        file = self._folder / f"{info.id}.{boot()}{_SUFFIX}"
        if not create and not file.exists():
            return None
        make_near(self._folder)
        units, size = info.shape[0], info.row_bytes * info.rows
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size != size + units:
                os.ftruncate(handle, size + units)  # sparse: nothing of it takes room yet
            mapped = mmap.mmap(handle, size + units, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
        columns = np.frombuffer(mapped, info.dtype, units * info.rows).reshape(units, info.rows)
        return _Mapped(file, columns, np.frombuffer(mapped, np.uint8, units, size))

    def _keep(self, info: SegmentInfo, held: _Mapped, units: NDArray[np.int64], fresh: NDArray[Any]) -> bool:
        """Put columns into the file; False where there is no room for them."""
        width = info.rows * fresh.itemsize
        if fresh.nbytes > self._budget // 2:
            return False
        try:
            self._make_room(fresh.nbytes)
            handle = os.open(held.file, os.O_RDWR)
        except OSError:
            return False
        try:
            for unit, column in zip(units.tolist(), np.ascontiguousarray(fresh), strict=True):
                if os.pwrite(handle, column.data, unit * width) != width:
                    return False
                os.pwrite(handle, b"\1", info.shape[0] * width + unit)
        except OSError:  # a full disk
            return False
        finally:
            os.close(handle)
        return bool(held.there[units].all())

    def _make_room(self, needed: int) -> None:
        self._written += needed
        if self._written < min(_ASK_AGAIN, self._budget // 8):
            return
        self._written = 0
        files = [
            (stat.st_mtime, stat.st_blocks * 512, file) for file in self._folder.iterdir() if (stat := _stat(file))
        ]
        held = sum(size for _, size, _ in files)
        room = min(self._budget, held + shutil.disk_usage(self._folder).free // 2) - needed
        for _, size, file in sorted(files):
            if held <= room and file.name.endswith(f".{boot()}{_SUFFIX}"):
                continue  # what is of an earlier boot goes anyway
            file.unlink(missing_ok=True)  # whoever has it mapped keeps it until they let go
            held -= size


@lru_cache(maxsize=1)
def boot() -> str:
    """A name of this boot of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return f"{int(psutil.boot_time()) // 60:x}"


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:  # another process made room at the same time
        return None
