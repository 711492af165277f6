"""How processes of the tests run: theirs, and those that they start, which inherit it.

Set before NumPy and torch are imported, which read the environment once.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
"""A disk in memory."""
ROOM = 6 << 30
"""Bytes that a run of the suite may leave there, with the servers' own."""


def prepare() -> None:
    """Set it, for this process too."""
    os.environ.setdefault("ODIN_PROGRESS", "0")
    # Hundreds of processes, and each run, would compile all modules, and pytest rewrite all assertions.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Two workers share two cores: threads of one wait for each other, and spin.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # An engine lives for a few minutes, of which the optimizing compiler would take half.
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
    if "TMPDIR" not in os.environ and _has_room():
        # A disk takes milliseconds to promise that a file is safe, and tests wait for it tens of thousands of times.
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)


def _has_room() -> bool:
    return (
        os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free >= ROOM
        and psutil.virtual_memory().available >= ROOM
    )
