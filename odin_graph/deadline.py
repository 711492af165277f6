"""The time limit of an answer: set once, checked at every level."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from odin_graph.errors import QueryError, TimeLimitError

_LONGEST: Final = 10**9
"""Seconds that an engine can be told."""
_SLACK: Final = 0.1
"""Seconds by which an engine may stop too early."""


@dataclass(frozen=True, slots=True)
class _Limit:
    seconds: float
    until: float


_limit: ContextVar[_Limit | None] = ContextVar("odin_graph.deadline", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Limit the time of the block; None sets no limit. Of two nested limits the earlier one applies.

    Raises:
        QueryError: It is not a valid time.
    """
    if seconds is None:
        yield
        return
    check_seconds(seconds)
    outer, until = _limit.get(), time.monotonic() + seconds
    token = _limit.set(outer if outer is not None and outer.until <= until else _Limit(seconds, until))
    try:
        yield
    finally:
        _limit.reset(token)


def check_seconds(seconds: float | None) -> None:
    """Refuse an invalid time limit.

    Raises:
        QueryError: It is neither None nor a number above 0.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST:
        raise QueryError(f"timeout= takes seconds, more than 0 and up to {_LONGEST:,}, not {seconds!r:.80}.")


def remaining() -> float | None:
    """The seconds that are left; None if there is no limit.

    Raises:
        TimeLimitError: The time is over.
    """
    limit = _limit.get()
    if limit is None:
        return None
    left = limit.until - time.monotonic()
    if left <= 0:
        raise out_of_time(limit.seconds)
    return left


check = remaining
"""Call it between two steps of long work."""


def nearly_over() -> TimeLimitError | None:
    """The error if the limit is over, or so close that an engine with the remaining time stopped first; else None."""
    limit = _limit.get()
    return out_of_time(limit.seconds) if limit is not None and limit.until - time.monotonic() < _SLACK else None


def out_of_time(seconds: float) -> TimeLimitError:
    """The error of a time limit. It names the full limit, not the remainder that a single statement had."""
    current = _limit.get()
    limit = current.seconds if current is not None and current.until - time.monotonic() < _SLACK else seconds
    return TimeLimitError(f"The answer takes longer than {limit:g} s: narrow the query, or give it more with timeout=.")
