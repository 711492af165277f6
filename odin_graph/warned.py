"""Warnings of an answer: given here, or, on a server, collected and sent to the client."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from odin_graph.caller import frames_inside

_collected: ContextVar[list[Warning] | None] = ContextVar("odin_graph.warned", default=None)


@contextmanager
def collecting() -> Iterator[list[Warning]]:
    """Collect the warnings of this block instead of giving them; `warnings.catch_warnings` affects all threads."""
    collected: list[Warning] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def is_collecting() -> bool:
    """Whether warnings are collected for a client."""
    return _collected.get() is not None


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the user's own line, the first outside this package, or add the warning to those that are collected."""
    collected = _collected.get()
    if collected is None:
        warnings.warn(message, category, stacklevel=1 + len(frames_inside()))
    else:
        collected.append(category(message))
