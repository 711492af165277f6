"""How an engine is reached: an address, a log-in that writes, and one that only reads where the engine has one."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import psutil

LEAST_SPACE: Final = 1 << 20
"""Bytes that an embedded engine cannot work without."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A graph engine that answers, or did when this was written."""

    address: str
    user: str
    password: str = field(repr=False)
    database: str | None = None
    reader: str | None = None
    """The log-in that only reads; None where the engine has no such users (Neo4j Community)."""
    reader_password: str | None = field(default=None, repr=False)
    http: str | None = None
    """The embedded engine's own HTTP address, for its record counters."""
    generation: str = ""
    """Of the change counters: they start again at 0 with the engine."""
    counted: tuple[int, ...] = ()
    """What the counters stood at when the engine was stopped cleanly the last time."""
    folder: str = ""
    """The embedded engine's own, on this machine."""
    pid: int = 0
    started: float = 0.0
    """When the keeper's process was created, since a pid alone is given again."""
    counters: str = ""
    """The keeper's socket that tells the engine's counters; empty where there is none."""

    def write(self, file: Path) -> None:
        """Write it whole or not at all, readable by this user alone."""
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".endpoint-")  # made with mode 0600
        with os.fdopen(handle, "w") as out:
            json.dump(asdict(self), out)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """The endpoint of a file whose keeper lives; None where there is none, or it is stale."""
        try:
            held = json.loads(file.read_text())
            endpoint = cls(**{**held, "counted": tuple(held["counted"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return endpoint if endpoint.alive() else None

    def alive(self) -> bool:
        """Whether the process that serves it is still the one that wrote it."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
