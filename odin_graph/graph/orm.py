"""neomodel's connection is one per process: which workspace it belongs to at the moment."""

from __future__ import annotations

import os

from neomodel import db

from odin_graph.graph.connection import Graph
from odin_graph.schema import keys

_holder: Graph | None = None


def lend_to_neomodel(graph: Graph, *, if_free: bool = False) -> None:
    """Give neomodel the driver of ``graph``, and new images their keys from its counter, until it is closed.

    Args:
        graph: The graph of an open workspace.
        if_free: Leave the connection where it is if another open workspace holds it, or if it is the user's own.
    """
    global _holder
    if if_free and _holder is not graph and db.driver is not None:
        return
    db._database_name = graph.database  # noqa: SLF001 - first: set_connection asks the database for its version
    db.set_connection(driver=graph.driver())
    keys.lend(graph.reserve_keys, graph.address)
    if _holder is not graph:
        _holder = graph
        graph.at_close(lambda: _take_back(graph))


def _take_back(graph: Graph) -> None:
    global _holder
    if _holder is graph:
        if db.driver is graph.driver():  # else the user has given neomodel another since
            db.driver = None
        keys.lend(None)
        _holder = None


def _after_fork() -> None:
    if _holder is not None:
        db.driver = _holder.driver()  # it connects when it is used; what set_connection asks the server is known


os.register_at_fork(after_in_child=_after_fork)
