"""Small facts in the cache, one JSON file each, that change with every query: kept in memory, written once a second.

A query takes a millisecond, but replacing a file on a busy disk may take thirty. If a process dies, unwritten changes
are lost: later choices get worse, no answer gets wrong. A change is a function of the facts, since other processes
write the file too.
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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from odin_graph.folder import make_near

Facts = Mapping[str, Any]
Change = Callable[[Facts], Facts]

_EVERY: Final = 1.0
"""Seconds between two times that a process writes a file."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What this process knows of a file."""

    facts: Facts
    stamp: tuple[int, int] | None
    """Of the file when it was last read or written, None if there was none: another process may write it."""
    written: float = -math.inf
    """When this process wrote it."""
    unwritten: tuple[Change, ...] = ()
    """Changes that are in the facts, but not in the file yet."""


_known: dict[Path, _Known] = {}
_lock = threading.Lock()


def read(file: Path) -> Facts:
    """The facts that were written last, here or by another process; none if the file is missing or broken."""
    with _lock:
        return _current(file).facts


def change(file: Path, by: Change) -> None:
    """Change the facts now; the file follows, at most once a second, or when the process ends.

    Args:
        file: The file. Its folder is created.
        by: Returns the new facts from the old ones, and changes neither. It is called again if another process
            wrote the file meanwhile.
    """
    with _lock:
        known = _current(file)
        _known[file] = _Known(by(known.facts), known.stamp, known.written, (*known.unwritten, by))
        due = known.stamp is None or time.monotonic() - known.written >= _EVERY
    if due:
        _write(file)


def _current(file: Path) -> _Known:
    """The current facts of a file, with the changes that are not written yet."""
    stamp = _stamp(file)
    known = _known.get(file, _Known({}, None))
    if known.stamp == stamp and file in _known:
        return known
    if stamp is None:  # the cache was removed
        known = _Known({}, None)
    facts: Facts = {}
    with suppress(OSError, ValueError):
        found = json.loads(file.read_bytes())
        facts = found if isinstance(found, dict) else {}
    for by in known.unwritten:
        facts = by(facts)
    _known[file] = _Known(facts, stamp, known.written, known.unwritten)
    return _known[file]


def _write(file: Path) -> None:
    with suppress(OSError):
        make_near(file.parent)
    with _lock:
        known = _current(file)
        fresh: str | None = None
        try:
            handle, fresh = tempfile.mkstemp(dir=file.parent, suffix=".new")
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(known.facts, out)
            Path(fresh).replace(file)
        except OSError as error:  # a full disk
            _log.info("%s is not kept: %s", file, error)
            if fresh is not None:
                Path(fresh).unlink(missing_ok=True)
            _known[file] = _Known(known.facts, known.stamp, time.monotonic(), known.unwritten)
        else:
            _known[file] = _Known(known.facts, _stamp(file), time.monotonic())


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


@atexit.register
def _write_all() -> None:
    """Write what is pending, if the folder still exists: a removed workspace must not come back."""
    for file, known in list(_known.items()):
        if known.unwritten and file.parent.exists():
            _write(file)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # a thread of the parent may have locked it; the parent writes what is unwritten
    _known.clear()


os.register_at_fork(after_in_child=_after_fork)
