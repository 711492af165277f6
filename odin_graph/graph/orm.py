"""Which workspace owns neomodel's connection at the moment: there is one per process."""

from __future__ import annotations

from typing import Any, cast

import neo4j
from neomodel import db

from odin_graph.graph.connection import Graph
from odin_graph.schema import keys

_holder: Graph | None = None


class LentDriver:
    """A graph's driver for neomodel: its sessions are of the engine that runs now."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def session(self, **config: Any) -> neo4j.Session:
        """Open a session of the current driver."""
        self.graph.ensure()
        return self.graph.driver().session(**config)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the driver's."""
        return getattr(self.graph.driver(), name)


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
    db.set_connection(driver=cast(neo4j.Driver, LentDriver(graph)))
    keys.lend(graph.reserve_keys, graph.address)
    if _holder is not graph:
        _holder = graph
        graph.at_close(lambda: _take_back(graph))


def _take_back(graph: Graph) -> None:
    global _holder
    if _holder is graph:
        driver = cast(Any, db).driver
        if getattr(driver, "graph", None) is graph:  # else the user has given neomodel another since
            db.driver = None
        keys.lend(None)
        _holder = None
