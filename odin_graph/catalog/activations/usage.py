"""What has been asked of an activation set on this machine: a small file a set, in the cache, replaced as a whole.

A cache as any other: a file that is missing or broken is no error, and what is lost costs a worse choice of what is
kept. Old use counts less: what was saved counts half after seven days, so that a set which everybody asked last month
gives way to one that is asked now.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import math
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from odin_graph.folder import make_near
from odin_graph.stores import Stores

HALF_LIFE: Final = 7 * 86_400.0
"""Seconds after which what was saved counts half."""

_EVERY: Final = 1.0
"""Seconds between two times that a process writes the file of a set."""

_log = logging.getLogger(__name__)


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

    @classmethod
    def once(cls, saved: float, at: datetime) -> Self:
        """One question; what makes no sense saved nothing."""
        saved = max(0.0, saved) if math.isfinite(saved) else 0.0
        return cls(1, at, saved, saved)


def record(stores: Stores, set_id: str, saved: float, *, at: datetime | None = None) -> None:
    """Note that a question was answered from a set: some microseconds, and once a second a file is written.

    Of two processes that write at once, what one of them noted may be lost.

    Args:
        stores: The open workspace.
        set_id: The set.
        saved: Seconds that the question would have taken more without it.
        at: When, with a zone; by default now.
    """
    file, passed = _file(stores, set_id), time.monotonic()
    with _lock:
        _noted[file] = _noted.get(file, Usage()) + Usage.once(saved, at or datetime.now(UTC))
        if passed - _written.get(file, -math.inf) < _EVERY:
            return
        _written[file] = passed
    with suppress(OSError):
        make_near(file.parent)
    _write(file)


def usage_of(stores: Stores, set_id: str) -> Usage:
    """What was noted of a set on this machine; nothing where nothing was, or where it cannot be read."""
    file = _file(stores, set_id)
    return _read(file) + _noted.get(file, Usage())


def _write(file: Path) -> None:
    with _lock:
        noted = _noted.pop(file, Usage())
    said = _read(file) + noted
    if said.last is None:
        return
    held = {"asked": said.asked, "last": said.last.timestamp(), "saved": said.saved, "lasting": said.lasting}
    fresh = file.with_name(f"{file.stem}.{os.getpid()}.{threading.get_ident()}")
    try:
        fresh.write_text(json.dumps(held), encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        _log.debug("what was asked is not noted: %s", error)
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _read(file: Path) -> Usage:
    try:
        held: dict[str, Any] = json.loads(file.read_bytes())
        said = Usage(
            int(held["asked"]),
            datetime.fromtimestamp(float(held["last"]), UTC),
            float(held["saved"]),
            float(held["lasting"]),
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return Usage()
    return said if said.asked > 0 and all(0 <= sum_ < math.inf for sum_ in (said.saved, said.lasting)) else Usage()


def _file(stores: Stores, set_id: str) -> Path:
    return stores.cache / "usage" / f"{hashlib.sha256(set_id.encode()).hexdigest()[:40]}.json"


def _share(passed: timedelta) -> float:
    """What a second that was saved still counts, so long after; more than one for a moment before."""
    return math.pow(0.5, max(passed.total_seconds() / HALF_LIFE, -1_000.0))


# By file, as processes share them; what was asked since the file was written.
_noted: dict[Path, Usage] = {}
_written: dict[Path, float] = {}
_lock = threading.Lock()


@atexit.register
def _write_all() -> None:
    """Where the folder is still there: a workspace that was removed meanwhile does not come back."""
    for file in list(_noted):
        _write(file)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it; what it noted is the parent's to write
    _noted.clear()


os.register_at_fork(after_in_child=_after_fork)
