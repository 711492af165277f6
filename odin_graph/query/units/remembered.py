"""Small facts in the cache, a JSON file each, that change with every question: known in memory, written once a second.

A question takes a millisecond, and replacing a file may take thirty where the disk is busy. What is lost with a process
costs a worse choice, not an answer.
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from odin_graph.folder import make_near

_EVERY: Final = 1.0
"""Seconds between two times that a process writes a file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What this process knows of a file."""

    said: Mapping[str, Any]
    stamp: tuple[int, int] | None
    """Of the file as it was read or written, None where there was none: another process may write it."""
    written: float = -math.inf
    """When this process wrote it."""
    unwritten: bool = False


_known: dict[Path, _Known] = {}
_lock = threading.Lock()


def read(file: Path) -> Mapping[str, Any]:
    """What was written last, here or by another process; nothing where the file is missing or broken."""
    stamp = _stamp(file)
    with _lock:
        known = _known.get(file)
    if known is not None and known.stamp == stamp:
        return known.said
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    with _lock:
        if _known.get(file) is known:  # else another thread knows more by now
            _known[file] = _Known(said, stamp, -math.inf if known is None else known.written)
    return said


def write(file: Path, said: Mapping[str, Any]) -> None:
    """Know it from now on; the file follows, a second after the last time at the earliest, or when the process ends."""
    with _lock:
        before = _known.get(file)
        stamp = _stamp(file)
        written = -math.inf if before is None or stamp is None else before.written
        _known[file] = _Known(said, stamp, written, unwritten=True)
    if time.monotonic() - written >= _EVERY:
        _put(file)


def _put(file: Path) -> None:
    with _lock:
        known = _known[file]
    fresh: str | None = None
    try:
        make_near(file.parent)
        handle, fresh = tempfile.mkstemp(dir=file.parent, suffix=".new")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(known.said, out)
        Path(fresh).replace(file)
    except OSError as error:  # a full disk
        _log.info("%s is not kept: %s", file, error)
        if fresh is not None:
            Path(fresh).unlink(missing_ok=True)
    with _lock:
        now = _known[file]
        newer = now.said is not known.said  # another thread knows more by now
        _known[file] = replace(now, stamp=_stamp(file), written=time.monotonic(), unwritten=newer)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        held = file.stat()
    except OSError:
        return None
    return held.st_mtime_ns, held.st_ino


@atexit.register
def _put_all() -> None:
    """Where the folder is still there: a workspace that was removed meanwhile does not come back."""
    for file, known in list(_known.items()):
        if known.unwritten and file.parent.exists():
            _put(file)


def _after_fork() -> None:
    global _lock
    _lock = (
        threading.Lock()
    )  # another thread of the parent may have held it; what is unwritten is the parent's to write
    _known.clear()


os.register_at_fork(after_in_child=_after_fork)
