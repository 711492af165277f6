from .connection import Graph as Graph
from .connection import Transaction as Transaction
from .embedded import open_embedded as open_embedded
from .endpoint import Endpoint as Endpoint
from .installation import install as install
from .orm import lend_to_neomodel as lend_to_neomodel
from .records import Records as Records
from .token import ChangeToken as ChangeToken
from .writer import batches as batches
from .writer import create_edges as create_edges
from .writer import create_nodes as create_nodes

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
