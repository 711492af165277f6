from .connection import Graph as Graph
from .embedded import open_embedded as open_embedded
from .endpoint import Endpoint as Endpoint
from .installation import install as install
from .orm import lend_to_neomodel as lend_to_neomodel
from .read_only import forbid_writing as forbid_writing
from .read_only import is_read_only as is_read_only
from .read_only import read_only as read_only
from .records import Records as Records
from .token import ChangeToken as ChangeToken
from .transaction import Transaction as Transaction
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
    "forbid_writing",
    "install",
    "is_read_only",
    "lend_to_neomodel",
    "open_embedded",
    "read_only",
]
