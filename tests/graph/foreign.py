"""A Bolt client that is not ours: py2neo, with its connections closed when the test has done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import py2neo


@contextmanager
def py2neo_graph(address: str, user: str, password: str, database: str | None) -> Iterator[py2neo.Graph]:
    """Attached with what `odin bolt` prints."""
    graph = py2neo.Graph(address, auth=(user, password), name=database)
    try:
        yield graph
    finally:
        graph.service.connector.close()
