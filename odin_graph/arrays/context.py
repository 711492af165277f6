"""TileDB's contexts: its thread pools, bounded by the budget, and made anew in a forked child."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Final

import tiledb

from odin_graph.config import Budget

Settings = tuple[tuple[str, str], ...]

_contexts: dict[tuple[Budget, Settings], tiledb.Ctx] = {}
_lock = threading.Lock()

_SHARE: Final = 4
"""TileDB's queries may hold a quarter of the budget; the caches have the rest."""
_LEAST: Final = 256 << 20
"""Below, it refuses a query that needs a few tiles at once."""


def context(budget: Budget, settings: Settings = ()) -> tiledb.Ctx:
    """The context of this process for a budget. TileDB's own default context, which a fork breaks, is never used.

    Args:
        budget: Of memory and threads.
        settings: Further ones, by TileDB's names; other names make no difference but that it is another context.
    """
    with _lock:
        if (key := (budget, settings)) not in _contexts:
            memory = str(max(_LEAST, budget.memory // _SHARE))
            fork = os.fork
            _contexts[key] = tiledb.Ctx(
                {
                    "sm.compute_concurrency_level": str(budget.threads),
                    "sm.io_concurrency_level": str(budget.threads),
                    "sm.mem.total_budget": memory,
                    "sm.memory_budget": memory,
                    "sm.memory_budget_var": memory,
                    **dict(settings),
                }
            )
            os.fork = fork  # TileDB replaces it by one that warns at every fork, also where a fork is safe
        return _contexts[key]


def _forget() -> None:
    """In a forked child: the parent's threads do not exist here, so its contexts can be neither used nor destroyed."""
    global _lock
    _lock = threading.Lock()
    for inherited in _contexts.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))  # a destructor would wait for those threads for ever
    _contexts.clear()


os.register_at_fork(after_in_child=_forget)
