"""Whole segments decoded into raw, memory-mapped files: what random batches read instead of compressed tiles.

Only a cache: files are named by segment, built from it, shared by processes, and can be dropped at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.unit_cache import boot
from odin_graph.folder import make_near


class DecodedCache:
    """Raw files under a budget; the least recently used are dropped first.

    Args:
        folder: A local folder.
        budget: Bytes that all files together may take.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder = folder
        self._budget = budget

    def takes(self, info: SegmentInfo) -> bool:
        """Whether a dense segment fits in the budget at all; one that does not is read tile by tile."""
        return info.rows * info.row_bytes <= self._budget

    def rows(self, info: SegmentInfo, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """All rows of a segment that fits, mapped from its file, which is made if it is missing."""
        if (mapped := self.mapped(info)) is not None:
            return mapped
        try:
            make_near(self._folder)
            # Of several workers that want the same segment, one decodes it. Sixteen locks, so that they do not pile up.
            with FileLock(self._folder / f"{info.id[-1]}.lock"):
                return mapped if (mapped := self.mapped(info)) is not None else self._keep(info, decode())
        except OSError:  # a folder that cannot be written costs speed, not the answer
            return decode()

    def mapped(self, info: SegmentInfo) -> NDArray[Any] | None:
        """All rows of a segment, mapped from its file; None where there is none."""
        file, shape = self._file(info), (info.rows, *info.shape)
        try:
            if file.stat().st_size != info.rows * info.row_bytes:
                return None
            os.utime(file)
            return np.memmap(file, dtype=info.dtype, mode="r", shape=shape)
        except (OSError, ValueError):  # it does not exist, or another process has just dropped it
            return None

    def _keep(self, info: SegmentInfo, rows: NDArray[Any]) -> NDArray[Any]:
        self._make_room(rows.nbytes)
        handle, temporary = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as out:
                rows.tofile(out)
            Path(temporary).replace(self._file(info))
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            return rows
        mapped = self.mapped(info)
        return rows if mapped is None else mapped

    def _make_room(self, needed: int) -> None:
        files = [(stat.st_mtime, stat.st_size, file) for file in self._folder.iterdir() if (stat := _stat(file))]
        room = min(self._budget, shutil.disk_usage(self._folder).free // 2) - needed
        total = sum(size for _, size, _ in files)
        for _, size, file in sorted(files):
            if total <= room:
                return
            if size:  # a lock file is empty, and may be locked
                file.unlink(missing_ok=True)  # processes that have mapped it keep its contents
                total -= size

    def _file(self, info: SegmentInfo) -> Path:
        return self._folder / f"{info.id}.{boot()}.raw"  # a power cut may keep a file and lose its contents


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except FileNotFoundError:  # another process made room at the same time
        return None
