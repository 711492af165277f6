"""How often an activation set was used on this machine: a small file for each set, in the cache.

A missing or broken file is no error, as in any cache: it only makes the choice of sets worse. Old use counts less:
saved time counts half after seven days, so that a set which everybody used last month gives way to one that is used
now.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from odin_graph.facts import Facts, change, read
from odin_graph.served import travels
from odin_graph.stores import Stores

HALF_LIFE: Final = 7 * 86_400.0
"""Seconds after which saved time counts half."""


@travels
@dataclass(frozen=True, slots=True)
class Usage:
    """How often a set of activations was used, and the time that it saved."""

    asked: int = 0
    """The number of queries that were answered from it."""
    last: datetime | None = None
    """The time of the last such query, UTC; None if there was none."""
    saved: float = 0.0
    """The seconds that these queries would have taken longer without it."""
    lasting: float = 0.0
    """The saved seconds, decayed to the time of the last query."""

    def decayed(self, at: datetime | None = None) -> float:
        """The saved seconds, decayed to now or to another moment."""
        if self.last is None:
            return 0.0
        return self.lasting * _share((at or datetime.now(UTC)) - self.last)

    def __add__(self, other: Usage) -> Usage:
        """The sum of both; it does not depend on the order of the queries."""
        if self.last is None or other.last is None:
            return other if self.last is None else self
        last = max(self.last, other.last)
        lasting = self.decayed(last) + other.decayed(last)
        return Usage(self.asked + other.asked, last, self.saved + other.saved, lasting)

    def facts(self) -> Facts:
        """The form that is written to a file."""
        last = None if self.last is None else self.last.timestamp()
        return {"asked": self.asked, "last": last, "saved": self.saved, "lasting": self.lasting}

    @classmethod
    def once(cls, saved: float, at: datetime) -> Self:
        """The usage of one query; seconds that are negative or not finite count as 0."""
        saved = max(0.0, saved) if math.isfinite(saved) else 0.0
        return cls(1, at, saved, saved)


def record(stores: Stores, set_id: str, saved: float, *, at: datetime | None = None) -> None:
    """Record that a query was answered from a set. Takes microseconds; a file is written at most once a second.

    Args:
        stores: The open workspace.
        set_id: The set.
        saved: Seconds that the query would have taken longer without it.
        at: The time, with a time zone; by default now.
    """
    once = Usage.once(saved, at or datetime.now(UTC))
    change(_file(stores, set_id), lambda facts: (_usage(facts) + once).facts())


def usage_of(stores: Stores, set_id: str) -> Usage:
    """The recorded usage of a set on this machine; empty if there is none, or if it cannot be read."""
    return _usage(read(_file(stores, set_id)))


def _usage(facts: Facts) -> Usage:
    """The usage from the facts of a file; empty if they make no sense."""
    try:
        usage = Usage(
            int(facts["asked"]),
            datetime.fromtimestamp(float(facts["last"]), UTC),
            float(facts["saved"]),
            float(facts["lasting"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return Usage()
    return usage if usage.asked > 0 and all(0 <= sum_ < math.inf for sum_ in (usage.saved, usage.lasting)) else Usage()


def _file(stores: Stores, set_id: str) -> Path:
    return stores.cache / "usage" / f"{hashlib.sha256(set_id.encode()).hexdigest()[:40]}.json"


def _share(passed: timedelta) -> float:
    """The weight of a saved second after some time; more than 1 for a time before it."""
    return math.pow(0.5, max(passed.total_seconds() / HALF_LIFE, -1_000.0))
