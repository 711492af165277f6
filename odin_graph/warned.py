"""Warnings of an answer: said where it is computed, or, where that is a server, sent to whoever asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_collected: ContextVar[list[Warning] | None] = ContextVar("odin_graph.warned", default=None)


@contextmanager
def collecting() -> Iterator[list[Warning]]:
    """Keep what is warned of in here instead of saying it; `warnings.catch_warnings` is of all threads at once."""
    kept: list[Warning] = []
    token = _collected.set(kept)
    try:
        yield kept
    finally:
        _collected.reset(token)


def is_collecting() -> bool:
    """Whether an answer is for somebody elsewhere."""
    return _collected.get() is not None


def warn(warning: Warning, *, stacklevel: int = 1) -> None:
    """Warn, or keep it for whoever is collecting; `stacklevel` is that of `warnings.warn`."""
    kept = _collected.get()
    if kept is None:
        warnings.warn(warning, stacklevel=stacklevel + 1)
    else:
        kept.append(warning)
