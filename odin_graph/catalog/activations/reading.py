"""Which process of this machine reads which set: one file lock a set, which the kernel frees with its process.

Readers share the lock; dropping a set to make room needs it alone. If files cannot be locked, everybody may read, and
a set whose lock is not available is not dropped.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from odin_graph.folder import make_near
from odin_graph.stores import Stores

fcntl: Any
try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where a graph engine is a server, whose files are left to `odin gc`
    fcntl = None

_FOLDER: Final = "reading"
_SUFFIX: Final = ".lock"
"""A purge empties the cache, but leaves these files."""
_TURN: Final = "room"

_log = logging.getLogger(__name__)


@contextmanager
def reading(stores: Stores, set_ids: Iterable[str]) -> Iterator[None]:
    """Keep other processes of this machine from dropping these sets. Check inside the block whether they exist.

    It takes about ten microseconds a set, may be nested, and each thread has its own locks. If a set is being dropped
    right now, this waits, and the set does not exist afterwards.

    Args:
        stores: The open workspace.
        set_ids: Ids of activation sets, which need not exist.
    """
    handles: list[int] = []
    process = os.getpid()
    try:
        for set_id in dict.fromkeys(set_ids):
            if (handle := _locked(stores, _digest(set_id), "LOCK_SH")) is not None:
                handles.append(handle)  # noqa: PERF401 - the earlier ones are released if the next one fails
        yield
    finally:
        for handle in handles:
            _release(handle, process)


@contextmanager
def unread(stores: Stores, set_id: str) -> Iterator[bool]:
    """Whether nobody on this machine reads a set; if so, new readers wait until the block ends."""
    handle, process = _locked(stores, _digest(set_id), "LOCK_EX", wait=False), os.getpid()
    try:
        yield handle is not None or fcntl is None
    finally:
        if handle is not None:
            _release(handle, process)


@contextmanager
def turn(stores: Stores) -> Iterator[None]:
    """Let one process of this machine at a time decide which sets are dropped."""
    handle, process = _locked(stores, _TURN, "LOCK_EX"), os.getpid()
    try:
        yield
    finally:
        if handle is not None:
            _release(handle, process)


def _locked(stores: Stores, name: str, how: str, *, wait: bool = True) -> int | None:
    """The file descriptor of a lock; None if it is not available."""
    if fcntl is None:  # pragma: no cover - Windows
        return None
    handle = None
    try:
        handle = _open(stores.cache / _FOLDER, f"{name}{_SUFFIX}")
        fcntl.flock(handle, getattr(fcntl, how) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if not isinstance(error, BlockingIOError):  # a read-only folder is no reason to fail
            _log.debug("%s cannot be locked: %s", name, error)
        if handle is not None:
            os.close(handle)
        return None
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise
    return handle


def _open(folder: Path, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(folder / name, flags, 0o600)
    except FileNotFoundError:
        make_near(folder)
        return os.open(folder / name, flags, 0o600)


def _release(handle: int, process: int) -> None:
    # A child that was forked meanwhile has the descriptor too: it must not release our lock.
    if os.getpid() == process:
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _digest(set_id: str) -> str:
    return hashlib.sha256(set_id.encode()).hexdigest()[:40]
