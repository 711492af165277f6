"""One budget for memory and threads, derived from the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

_HUGE_SHARE: Final = 64
_HUGE: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """How much memory and how many threads one process of odin_graph may use."""

    memory: int
    """Bytes that all caches and buffers together may use."""
    threads: int
    """Threads for each of TileDB, FAISS, Arrow and torch."""

    @classmethod
    def of_machine(cls) -> Self:
        """Half of the memory that this process may use, and every core it may run on."""
        return cls(memory=_memory_limit() // 2, threads=_cores())

    @property
    def huge(self) -> int:
        """Bytes of pixels above which an image is huge: 1/64 of ``memory``, at most 256 MiB.

        A huge image is read, stored and cropped in tiles, and is never in memory as a whole. Its digest is computed as
        for any image, so that machines with other limits agree on which images are the same.
        """
        return min(_HUGE, self.memory // _HUGE_SHARE)

    def apply(self) -> None:
        """Set Arrow's threads; TileDB, FAISS and torch take theirs where they are opened."""
        import pyarrow as pa

        pa.set_cpu_count(self.threads)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_limit() -> int:
    limits = [psutil.virtual_memory().total]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no cgroup, or the word "max"
            continue
    return min(limits)
