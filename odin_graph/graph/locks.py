"""Who uses an embedded engine: a shared lock on one file, which the kernel frees even after kill -9.

A lock is of a file and not of its name: it goes where a folder is moved to, and a copy of the folder does not have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if os.name == "nt":  # pragma: no cover - the engine's wheel exists there, flock does not
    from odin_graph.errors import EngineStartError

    raise EngineStartError(
        "The embedded engine needs file locks of Unix: on Windows use WSL, or give graph='neo4j://...'."
    )

import fcntl


def hold(file: Path) -> int:
    """Become a user: the descriptor of a shared lock. A forked child shares it, so it is a user too.

    Waits while the keeper holds the lock for itself, which it does only to stop.
    """
    handle = _opened(file)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def seize(file: Path) -> int | None:
    """Take the lock alone, if nobody uses the engine; None if somebody does."""
    handle = _opened(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def is_seized(file: Path) -> bool:
    """Whether somebody has the lock alone. Asked by a shared lock, so that two who ask do not see each other."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def leads_to(path: Path, handle: int) -> bool:
    """Whether a path names the open file or folder of a descriptor. While it is open, nothing else has its inode."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def release(handle: int) -> None:
    """Stop being a user; closing the last descriptor frees the lock."""
    os.close(handle)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """One process at a time: waits for the others."""
    handle = _opened(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
