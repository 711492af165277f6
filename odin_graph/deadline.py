"""How long an answer may take: said once, heeded on every floor."""

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
"""Seconds by which an engine may be early."""


@dataclass(frozen=True, slots=True)
class _Limit:
    seconds: float
    until: float


_limit: ContextVar[_Limit | None] = ContextVar("odin_graph.deadline", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """What is done in here is given up after so many seconds, None for any; of two nested ones the nearer holds.

    Raises:
        QueryError: It is no time.
    """
    if seconds is None:
        yield
        return
    check_seconds(seconds)
    held, until = _limit.get(), time.monotonic() + seconds
    token = _limit.set(held if held is not None and held.until <= until else _Limit(seconds, until))
    try:
        yield
    finally:
        _limit.reset(token)


def check_seconds(seconds: float | None) -> None:
    """Refuse what is no time.

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
        TimeLimitError: None is left.
    """
    held = _limit.get()
    if held is None:
        return None
    left = held.until - time.monotonic()
    if left <= 0:
        raise out_of_time(held.seconds)
    return left


check = remaining
"""Called between two pieces of long work."""


def nearly_over() -> TimeLimitError | None:
    """The error of a limit that is over, or is so nearly that whoever was given what was left says so first."""
    held = _limit.get()
    return out_of_time(held.seconds) if held is not None and held.until - time.monotonic() < _SLACK else None


def out_of_time(seconds: float) -> TimeLimitError:
    """The error that says so, of the limit that was said, of which a statement had what was left."""
    held = _limit.get()
    said = held.seconds if held is not None and held.until - time.monotonic() < _SLACK else seconds
    return TimeLimitError(f"The answer takes longer than {said:g} s: narrow the query, or give it more with timeout=.")
