"""A cache of what was used last, under a budget of bytes, by segments, which never change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from odin_graph.arrays import SegmentInfo

T = TypeVar("T")


class Recent(Generic[T]):
    """Cache that drops what was not used for longest.

    Args:
        budget: Bytes that all entries together may take; the last entry stays in any case.
        size: The bytes of an entry.
    """

    def __init__(self, budget: int, size: Callable[[T], int]) -> None:
        self._budget, self._size = budget, size
        self._entries: OrderedDict[tuple[str, ...], T] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, segments: tuple[SegmentInfo, ...], load: Callable[[], T]) -> T:
        """The entry of these segments, loaded if it is missing. Two threads may load it at once; one result is kept."""
        key = tuple(info.id for info in segments)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        value = load()
        with self._lock:
            if key not in self._entries:
                self._entries[key] = value
                self._bytes += self._size(value)
            while self._bytes > self._budget and len(self._entries) > 1:
                self._bytes -= self._size(self._entries.popitem(last=False)[1])
        return value
