"""The graph engine over Bolt: connection, embedded engine, bulk writer, keys, change token, schema installation."""

from __future__ import annotations

from odin_graph.graph.connection import Graph, Transaction
from odin_graph.graph.embedded import open_embedded
from odin_graph.graph.endpoint import Endpoint
from odin_graph.graph.install import install
from odin_graph.graph.orm import lend_to_neomodel
from odin_graph.graph.records import Records
from odin_graph.graph.token import ChangeToken
from odin_graph.graph.writer import batches, create_edges, create_nodes

__all__ = [
    "ChangeToken",
    "Endpoint",
    "Graph",
    "Records",
    "Transaction",
    "batches",
    "create_edges",
    "create_nodes",
    "install",
    "lend_to_neomodel",
    "open_embedded",
]
