"""Names files while they are written, so that what a dead process left differs from what is being written."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from functools import lru_cache
from pathlib import Path
from typing import Final

import psutil

_CLOCK_SECONDS: Final = 5
"""Tolerance: the start of a process is computed from the clock at boot, which may be corrected later."""


def writers_name() -> str:
    """A unique name that contains the process that made it: ``uuid.machine.pid.start``."""
    pid = os.getpid()
    return f"{uuid.uuid4().hex}.{_machine()}.{pid}.{_start(pid)}"


def is_abandoned(uri: str) -> bool:
    """Whether the name in a uri was made by a process of this machine that has ended."""
    parts = uri.rpartition("/")[2].split(".")
    if len(parts) != 4 or parts[1] != _machine() or not (parts[2].isdigit() and parts[3].isdigit()):
        return False
    start = _started(int(parts[2]))
    return start is None or abs(start - int(parts[3])) > _CLOCK_SECONDS


@lru_cache(maxsize=1)
def _machine() -> str:
    # Processes in containers may share a host's name and never see each other: a name ends at the pid namespace.
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()}/{namespace}".encode()).hexdigest()[:12]


@lru_cache(maxsize=4)
def _start(pid: int) -> int | None:
    return _started(pid)


def _started(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        # A process that was killed and not yet waited for writes no more.
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return None
