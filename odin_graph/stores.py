"""The engines of one open workspace, bundled: what every floor above is handed."""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from odin_graph.address import Address
from odin_graph.arrays import ArrayStore
from odin_graph.columns import Columns
from odin_graph.config import Budget
from odin_graph.errors import MismatchError, MissingWorkspaceError
from odin_graph.graph import Graph, install
from odin_graph.vectors import VectorStore

FORMAT = 1
"""Of the workspace folder. The graph's schema has a version of its own."""


@dataclass(frozen=True, eq=False)
class Stores:
    """Graph, arrays, columns and vectors of one workspace, opened together and checked to belong together."""

    address: Address
    workspace_id: str
    graph: Graph
    arrays: ArrayStore
    columns: Columns
    vectors: VectorStore
    cache: Path
    """A local folder of things that can be dropped at any time."""
    budget: Budget

    @classmethod
    def open(cls, address: Address, *, create: bool = True) -> Self:
        """Open all engines; make the workspace if there is none and ``create`` is true.

        Raises:
            MissingWorkspaceError: There is none, and it is not to be made.
            MismatchError: Graph and arrays belong to different workspaces.
            SchemaVersionError: The workspace was written by a newer odin_graph.
            EngineError: The graph engine does not start, answer, or let us in.
        """
        budget = Budget.of_machine()
        budget.apply()
        if address.folder is not None:
            _prepare_folder(Path(address.folder), create=create)
        graph = _open_graph(address)
        try:
            held = graph.read("MATCH (w:Workspace) RETURN w.id AS id")
            if not held and not create:
                raise MissingWorkspaceError(
                    f"There is no workspace at {address}. Open it with create=True to make one."
                )
            install(graph)
            workspace_id = _workspace_id(graph, proposed=uuid.uuid4().hex)
            arrays = ArrayStore(address.arrays, budget, cache=None)
            stored = arrays.claim(workspace_id)
            if stored != workspace_id:
                raise MismatchError(
                    f"The graph of {address} is workspace {workspace_id}, its arrays are of workspace {stored}. "
                    "Open each graph with the arrays it was made with."
                )
            cache = _cache_folder(address, workspace_id)
            columns = Columns(graph, arrays, cache)
            vectors = VectorStore(arrays, budget)
        except BaseException:
            graph.close()
            raise
        return cls(address, workspace_id, graph, arrays, columns, vectors, cache, budget)

    @classmethod
    def at(cls, address: Address) -> Stores:
        """The open stores of an address in this process, opened if they are not: how an unpickled query runs."""
        with _lock:
            held = _open.get((os.getpid(), address))
        if held is not None:
            return held
        stores = cls.open(address, create=False)
        stores.keep()
        return stores

    def keep(self) -> None:
        """Let `at` find these stores."""
        with _lock:
            _open[os.getpid(), self.address] = self

    def close(self) -> None:
        """Close the connections. The embedded engine stops by itself when its last user has gone."""
        with _lock:
            if _open.get((os.getpid(), self.address)) is self:
                del _open[os.getpid(), self.address]
        self.graph.close()


# By process, too: a forked child opens its own.
_open: dict[tuple[int, Address], Stores] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().__setitem__("_lock", threading.Lock()))
