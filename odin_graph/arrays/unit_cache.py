"""Columns of units that are read often, decoded: one sparse, memory-mapped file for each segment.

Only a cache: files are named by segment, filled unit by unit, shared by processes, and can be dropped at any time.
Behind the columns is a byte for each unit, written after its column, that marks it as written. A power cut may lose
one and keep the other, so a file is used only until the machine restarts.
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

_MOST_MAPPED: Final = 64
"""Segments that stay mapped."""
_SUFFIX: Final = ".units"
_ASK_AGAIN: Final = 64 << 20
"""Bytes that are written between two checks of the size of all files."""


@dataclass(frozen=True, eq=False)
class _Mapped:
    file: Path
    columns: NDArray[Any]
    """(units, n), read-only."""
    written: NDArray[np.uint8]
    """(units,): 1 where the column is written."""


class UnitCache:
    """Columns under a budget; the segments that were not used for longest are dropped first.

    Args:
        folder: A local folder, for these files alone.
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
        """Whole columns (units, n) in the requested order, as stored; those that are not cached are read first.

        Args:
            info: The segment.
            units: Numbers of units, each within the segment.
            read: Reads columns from the segment.
        """
        mapped = self._map(info)
        if mapped is None:
            return read(units)
        missing = np.unique(units[mapped.written[units] == 0])
        if len(missing):
            columns = read(missing)
            if not self._keep(info, mapped, missing, columns):
                return columns if np.array_equal(missing, units) else read(units)
        cached: NDArray[Any] = mapped.columns[units]
        return cached

    def lacks(self, info: SegmentInfo, units: NDArray[np.int64]) -> int:
        """How many of these units are not cached."""
        mapped = self._map(info, create=False)
        return len(units) if mapped is None else int(np.count_nonzero(mapped.written[units] == 0))

    def _map(self, info: SegmentInfo, *, create: bool = True) -> _Mapped | None:
        with self._lock:
            mapped = self._mapped.get(info.id)
            if mapped is not None:
                self._mapped.move_to_end(info.id)
                try:
                    os.utime(mapped.file)
                except OSError:  # dropped by another process: a mapping stays valid
                    del self._mapped[info.id]
                    mapped = None
            if mapped is None and info.rows and info.row_bytes * info.rows:
                try:
                    mapped = self._open(info, create)
                except (OSError, ValueError):  # a folder that cannot be written costs speed, not the answer
                    return None
                if mapped is not None:
                    self._mapped[info.id] = mapped
                    while len(self._mapped) > _MOST_MAPPED:
                        self._mapped.popitem(last=False)
            return mapped

    def _open(self, info: SegmentInfo, create: bool) -> _Mapped | None:
        file = self._folder / f"{info.id}.{boot()}{_SUFFIX}"
        if not create and not file.exists():
            return None
        make_near(self._folder)
        units, size = info.shape[0], info.row_bytes * info.rows
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size != size + units:
                os.ftruncate(handle, size + units)  # sparse: it takes no room yet
            mapped = mmap.mmap(handle, size + units, access=mmap.ACCESS_READ)
        finally:
            os.close(handle)
        columns = np.frombuffer(mapped, info.dtype, units * info.rows).reshape(units, info.rows)
        return _Mapped(file, columns, np.frombuffer(mapped, np.uint8, units, size))

    def _keep(self, info: SegmentInfo, mapped: _Mapped, units: NDArray[np.int64], columns: NDArray[Any]) -> bool:
        """Write columns to the file; False if there is no room for them."""
        width = info.rows * columns.itemsize
        if columns.nbytes > self._budget // 2:
            return False
        try:
            self._make_room(columns.nbytes)
            handle = os.open(mapped.file, os.O_RDWR)
        except OSError:
            return False
        try:
            for unit, column in zip(units.tolist(), np.ascontiguousarray(columns), strict=True):
                if os.pwrite(handle, column.data, unit * width) != width:
                    return False
                os.pwrite(handle, b"\1", info.shape[0] * width + unit)
        except OSError:  # a full disk
            return False
        finally:
            os.close(handle)
        return bool(mapped.written[units].all())

    def _make_room(self, needed: int) -> None:
        self._written += needed
        if self._written < min(_ASK_AGAIN, self._budget // 8):
            return
        self._written = 0
        files = [
            (stat.st_mtime, stat.st_blocks * 512, file) for file in self._folder.iterdir() if (stat := _stat(file))
        ]
        total = sum(size for _, size, _ in files)
        room = min(self._budget, total + shutil.disk_usage(self._folder).free // 2) - needed
        for _, size, file in sorted(files):
            if total <= room and file.name.endswith(f".{boot()}{_SUFFIX}"):
                continue  # files of an earlier boot are always removed
            file.unlink(missing_ok=True)  # processes that have mapped it keep its contents
            total -= size


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
