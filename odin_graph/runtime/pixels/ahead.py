"""Reads the next part while one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

P = TypeVar("P")
T = TypeVar("T")


def read_ahead(load: Callable[[P], T], parts: Sequence[P]) -> Iterator[tuple[P, T]]:
    """Each part with what is loaded for it; a thread loads the next one meanwhile.

    Args:
        load: Loads a part. Its errors are raised when the part is asked for.
        parts: In order.
    """
    if not parts:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="odin pixels") as ahead:
        coming = ahead.submit(load, parts[0])
        for place, part in enumerate(parts):
            loaded = coming.result()
            if place + 1 < len(parts):
                coming = ahead.submit(load, parts[place + 1])
            yield part, loaded
