"""What was used last, under a budget of bytes; by the segments that it comes from, which never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from odin_graph.arrays import SegmentInfo

T = TypeVar("T")


class Recent(Generic[T]):
    """Keeps what was used last.

    Args:
        budget: Bytes that all together may take; the last one stays in any case.
        size: The bytes of one.
    """

    def __init__(self, budget: int, size: Callable[[T], int]) -> None:
        self._budget, self._size = budget, size
        self._held: OrderedDict[tuple[str, ...], T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, segments: tuple[SegmentInfo, ...], load: Callable[[], T]) -> T:
        """What is held for these segments, or loaded now. Two threads may load the same at once; one is kept."""
        name = tuple(info.id for info in segments)
        with self._lock:
            if name in self._held:
                self._held.move_to_end(name)
                return self._held[name]
        found = load()
        with self._lock:
            if name not in self._held:
                self._held[name] = found
                self._bytes += self._size(found)
            while self._bytes > self._budget and len(self._held) > 1:
                self._bytes -= self._size(self._held.popitem(last=False)[1])
        return found
