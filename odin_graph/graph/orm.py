"""neomodel's connection is one per process: which workspace it belongs to at the moment."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from odin_graph.schema import keys

if TYPE_CHECKING:
    from odin_graph.graph.connection import Graph

_holder: weakref.ref[Graph] | None = None


def lend(graph: Graph, *, if_free: bool) -> None:
    """Give neomodel the driver of ``graph``, and new images their keys from its counter."""
    from neomodel import db

    global _holder
    held = _holder() if _holder is not None else None
    if if_free and held is not None and held is not graph:
        return
    db._database_name = graph.database  # first: set_connection asks the database for its version
    db.set_connection(driver=graph.driver())
    keys.lend(graph.reserve_keys)
    if held is not graph:
        _holder = weakref.ref(graph)


def take_back(graph: Graph) -> None:
    """Where neomodel holds the driver of ``graph``, take it away: it is about to be closed."""
    from neomodel import db

    global _holder
    if _holder is not None and _holder() is graph:
        db.driver = None
        keys.lend(None)
        _holder = None


def _after_fork() -> None:
    held = _holder() if _holder is not None else None
    if held is not None:
        lend(held, if_free=False)


os.register_at_fork(after_in_child=_after_fork)
