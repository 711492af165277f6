"""Memory that several files share while they are decoded ahead."""

from __future__ import annotations

from threading import Condition


class Room:
    """A number of bytes. The first in the order always gets what it needs, so that none waits for ever."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._first = 0
        self._changed = Condition()

    def take(self, size: int, turn: int) -> None:
        """Wait until there are so many bytes, or until the turn has come."""
        with self._changed:
            self._changed.wait_for(lambda: turn <= self._first or self._taken + size <= self._size)
            self._taken += size

    def give(self, size: int) -> None:
        """Give so many bytes back."""
        with self._changed:
            self._taken -= size
            self._changed.notify_all()

    def turn(self, turn: int) -> None:
        """Set whose turn it is: the first in the order."""
        with self._changed:
            self._first = turn
            self._changed.notify_all()
