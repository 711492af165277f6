"""What has been asked of an activation set on this machine: a small file a set, in the cache, replaced as a whole.

A cache as any other: a file that is missing or broken is no error, and what is lost costs a worse choice of what is
kept. Old use counts less: what was saved counts half after seven days, so that a set which everybody asked last month
gives way to one that is asked now.
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
"""Seconds after which what was saved counts half."""


@travels
@dataclass(frozen=True, slots=True)
class Usage:
    """How often a set was asked, and what that saved."""

    asked: int = 0
    """Questions that were answered from it."""
    last: datetime | None = None
    """When it was asked last, UTC; None where it never was."""
    saved: float = 0.0
    """Seconds that all these questions would have taken more without it."""
    lasting: float = 0.0
    """The same, as it counted when the set was asked last."""

    def decayed(self, at: datetime | None = None) -> float:
        """The seconds that it saved, as they count now, or at another moment."""
        if self.last is None:
            return 0.0
        return self.lasting * _share((at or datetime.now(UTC)) - self.last)

    def __add__(self, other: Usage) -> Usage:
        """Both together; in whatever order questions come, the sums are the same."""
        if self.last is None or other.last is None:
            return other if self.last is None else self
        last = max(self.last, other.last)
        lasting = self.decayed(last) + other.decayed(last)
        return Usage(self.asked + other.asked, last, self.saved + other.saved, lasting)

    def facts(self) -> Facts:
        """As a file has it."""
        last = None if self.last is None else self.last.timestamp()
        return {"asked": self.asked, "last": last, "saved": self.saved, "lasting": self.lasting}

    @classmethod
    def once(cls, saved: float, at: datetime) -> Self:
        """One question; what makes no sense saved nothing."""
        saved = max(0.0, saved) if math.isfinite(saved) else 0.0
        return cls(1, at, saved, saved)


def record(stores: Stores, set_id: str, saved: float, *, at: datetime | None = None) -> None:
    """Note that a question was answered from a set: some microseconds, and once a second a file is written.

    Args:
        stores: The open workspace.
        set_id: The set.
        saved: Seconds that the question would have taken more without it.
        at: When, with a zone; by default now.
    """
    once = Usage.once(saved, at or datetime.now(UTC))
    change(_file(stores, set_id), lambda facts: (_usage(facts) + once).facts())


def usage_of(stores: Stores, set_id: str) -> Usage:
    """What was noted of a set on this machine; nothing where nothing was, or where it cannot be read."""
    return _usage(read(_file(stores, set_id)))


def _usage(facts: Facts) -> Usage:
    """What a file says; nothing of what makes no sense."""
    try:
        found = Usage(
            int(facts["asked"]),
            datetime.fromtimestamp(float(facts["last"]), UTC),
            float(facts["saved"]),
            float(facts["lasting"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return Usage()
    return found if found.asked > 0 and all(0 <= sum_ < math.inf for sum_ in (found.saved, found.lasting)) else Usage()


def _file(stores: Stores, set_id: str) -> Path:
    return stores.cache / "usage" / f"{hashlib.sha256(set_id.encode()).hexdigest()[:40]}.json"


def _share(passed: timedelta) -> float:
    """What a second that was saved still counts, so long after; more than one for a moment before."""
    return math.pow(0.5, max(passed.total_seconds() / HALF_LIFE, -1_000.0))
