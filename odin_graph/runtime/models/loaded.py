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
class _Loaded:
    runnable: Runnable
    turn: threading.Lock = field(default_factory=threading.Lock)
    """One thread runs it at a time, so that hooks see one pass."""
    users: int = 0
    """Threads that run it, or wait for their turn."""


_entries: OrderedDict[_Name, _Loaded] = OrderedDict()
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
        """Its key among the loaded models: the default device and the same device by name are one."""
        stores, device = self.stores, choose_device(self.device)
        return str(stores.address), stores.workspace_id, self.checkpoint, device, self.autocast, self.batch

    def load(self) -> Runnable:
        """Load another copy of it."""
        return Runnable.load(self.stores, self.checkpoint, device=self.device, batch=self.batch, autocast=self.autocast)


def is_loaded(wanted: Wanted) -> bool:
    """Whether the model is loaded."""
    name = wanted.name
    with _lock:
        return name in _entries


@contextmanager
def shared(wanted: Wanted) -> Iterator[tuple[Runnable, float | None]]:
    """A model, when it is this thread's turn, and the seconds that loading took; None where it was loaded.

    It stays loaded.
    """
    name, took = wanted.name, None
    with _lock:
        if name not in _entries:
            began = time.perf_counter()
            _entries[name] = _Loaded(wanted.load())
            took = time.perf_counter() - began
        entry = _entries[name]
        entry.users += 1
        _trim(name)
    try:
        with entry.turn:
            yield entry.runnable, took
    finally:
        with _lock:
            entry.users -= 1


@contextmanager
def alone(wanted: Wanted) -> Iterator[Runnable]:
    """A model that nobody else runs, for a pass that may take hours: the one that is loaded, if it is idle."""
    name = wanted.name
    with _lock:
        taken = _entries.pop(name) if name in _entries and not _entries[name].users else None
    try:
        yield wanted.load() if taken is None else taken.runnable
    finally:
        if taken is not None and _is_whole(taken.runnable):
            with _lock:
                _entries.setdefault(name, taken)  # another may have been loaded meanwhile
                _trim(name)


def _is_whole(runnable: Runnable) -> bool:
    """Whether all of it is on its device: a move to another one may have been interrupted."""
    tensors = chain(runnable.module.parameters(), runnable.module.buffers())
    return {tensor.device.type for tensor in tensors} <= {runnable.device.type}


def _trim(name: _Name) -> None:
    _entries.move_to_end(name)
    while len(_entries) > _MOST:
        _entries.popitem(last=False)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it, or one of a model
    _entries.clear()


os.register_at_fork(after_in_child=_after_fork)
