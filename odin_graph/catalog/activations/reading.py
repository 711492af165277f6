"""Who reads which set on this machine: a file lock a set, which the kernel frees with its process.

Readers share it, and whoever takes a set away to make room needs it alone. Where files cannot be locked nobody is kept
from reading; a set whose lock cannot be had is not taken away.
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
"""What a purge, which empties the cache, leaves in it."""
_TURN: Final = "room"

_log = logging.getLogger(__name__)


@contextmanager
def reading(stores: Stores, set_ids: Iterable[str]) -> Iterator[None]:
    """No process of this machine takes these sets away while the block runs; whether they are there is asked in it.

    It takes some ten microseconds a set, may be nested, and every thread has locks of its own. A set that is being
    taken away right now is waited for, and is gone then.

    Args:
        stores: The open workspace.
        set_ids: Ids of activation sets, of which there need not be any.
    """
    held: list[int] = []
    process = os.getpid()
    try:
        for set_id in dict.fromkeys(set_ids):
            if (handle := _locked(stores, _digest(set_id), "LOCK_SH")) is not None:
                held.append(handle)  # noqa: PERF401 - those of before are let go where the next one fails
        yield
    finally:
        for handle in held:
            _let_go(handle, process)


@contextmanager
def unread(stores: Stores, set_id: str) -> Iterator[bool]:
    """Whether nobody on this machine reads a set; whoever begins to waits until the block ends then."""
    handle, process = _locked(stores, _digest(set_id), "LOCK_EX", wait=False), os.getpid()
    try:
        yield handle is not None or fcntl is None
    finally:
        if handle is not None:
            _let_go(handle, process)


@contextmanager
def turn(stores: Stores) -> Iterator[None]:
    """One process of this machine at a time decides what is kept."""
    handle, process = _locked(stores, _TURN, "LOCK_EX"), os.getpid()
    try:
        yield
    finally:
        if handle is not None:
            _let_go(handle, process)


def _locked(stores: Stores, name: str, how: str, *, wait: bool = True) -> int | None:
    """The descriptor of a lock; None where it is not to be had."""
    if fcntl is None:  # pragma: no cover - Windows
        return None
    handle = None
    try:
        handle = _opened(stores.cache / _FOLDER, f"{name}{_SUFFIX}")
        fcntl.flock(handle, getattr(fcntl, how) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if not isinstance(error, BlockingIOError):  # a folder that cannot be written costs no answer
            _log.debug("%s cannot be locked: %s", name, error)
        if handle is not None:
            os.close(handle)
        return None
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise
    return handle


def _opened(folder: Path, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(folder / name, flags, 0o600)
    except FileNotFoundError:
        make_near(folder)
        return os.open(folder / name, flags, 0o600)


def _let_go(handle: int, process: int) -> None:
    # A child that was forked meanwhile has the descriptor too: it neither keeps the lock nor takes it from us.
    if os.getpid() == process:
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _digest(set_id: str) -> str:
    return hashlib.sha256(set_id.encode()).hexdigest()[:40]
