"""Models that stay loaded for questions: the latest few, each run by one thread at a time."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

import torch

from odin_graph.runtime.models.device import choose_device
from odin_graph.runtime.models.model import Runnable
from odin_graph.stores import Stores

_MOST: Final = 2
"""Models that stay loaded."""
_Name: TypeAlias = tuple[object, ...]


@dataclass(eq=False)
class _Held:
    runnable: Runnable
    turn: threading.Lock = field(default_factory=threading.Lock)
    """One thread runs it at a time: what hooks hear is of one pass."""
    users: int = 0
    """Threads that run it, or wait for their turn."""


_held: OrderedDict[_Name, _Held] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checkpoint as it is to be run."""

    stores: Stores
    checkpoint: str
    device: str | torch.device | None = None
    autocast: torch.dtype | None = None
    batch: int | None = None

    @property
    def name(self) -> _Name:
        """The device that is left to us and the same one by name are one."""
        stores, device = self.stores, choose_device(self.device)
        return str(stores.address), stores.workspace_id, self.checkpoint, device, self.autocast, self.batch

    def load(self) -> Runnable:
        """One more of it."""
        return Runnable.load(self.stores, self.checkpoint, device=self.device, batch=self.batch, autocast=self.autocast)


def is_loaded(wanted: Wanted) -> bool:
    """Whether a model is."""
    name = wanted.name
    with _lock:
        return name in _held


@contextmanager
def shared(wanted: Wanted) -> Iterator[tuple[Runnable, float | None]]:
    """A model, when it is this thread's turn, and the seconds that loading took; None where it was loaded.

    It stays loaded.
    """
    name, took = wanted.name, None
    with _lock:
        if name not in _held:
            began = time.perf_counter()
            _held[name] = _Held(wanted.load())
            took = time.perf_counter() - began
        held = _held[name]
        held.users += 1
        _trim(name)
    try:
        with held.turn:
            yield held.runnable, took
    finally:
        with _lock:
            held.users -= 1


@contextmanager
def alone(wanted: Wanted) -> Iterator[Runnable]:
    """A model that nobody else runs, for a pass that may take hours: the one that is loaded, if it is idle."""
    name = wanted.name
    with _lock:
        taken = _held.pop(name) if name in _held and not _held[name].users else None
    try:
        yield wanted.load() if taken is None else taken.runnable
    finally:
        if taken is not None and _is_whole(taken.runnable):
            with _lock:
                _held.setdefault(name, taken)  # another may have been loaded meanwhile
                _trim(name)


def _is_whole(runnable: Runnable) -> bool:
    """Whether all of it is where it belongs: what moved it to another device may have been interrupted."""
    tensors = chain(runnable.module.parameters(), runnable.module.buffers())
    return {one.device.type for one in tensors} <= {runnable.device.type}


def _trim(name: _Name) -> None:
    _held.move_to_end(name)
    while len(_held) > _MOST:
        _held.popitem(last=False)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it, or one of a model
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)
