"""The engines of one open workspace, bundled: what every layer above works with."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from odin_graph.address import Address
from odin_graph.arrays import ArrayStore
from odin_graph.arrays.of_database import take_arrays_of_database
from odin_graph.arrays.outside import take_arrays
from odin_graph.arrays.store import OWNER
from odin_graph.columns import Columns
from odin_graph.config import Budget
from odin_graph.errors import LoginError, MismatchError, MissingWorkspaceError, StoreError
from odin_graph.folder import prepare_folder
from odin_graph.graph import Endpoint, Graph, install, open_embedded
from odin_graph.graph.installation import patiently, version
from odin_graph.graph.member_chunks import redraw_chunks
from odin_graph.vectors import VectorStore


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
    """A local folder of files that can be deleted at any time."""
    budget: Budget

    @classmethod
    def open(cls, address: Address, *, create: bool = True) -> Self:
        """Open all engines; make the workspace if there is none and ``create`` is true.

        Raises:
            MissingWorkspaceError: There is none, and ``create`` is false.
            MismatchError: Graph and arrays belong to different workspaces, or this is a copy of what the arrays belong
                to.
            SchemaVersionError: The workspace was written by a newer odin_graph.
            EngineError: The graph engine does not start, answer, or let us in.
        """
        budget = Budget.of_machine()
        budget.apply()
        folder = Path(address.folder) if address.folder is not None else None
        if folder is not None:
            prepare_folder(folder, create=create)
        graph = _open_graph(address)
        try:
            if not create and version(graph) is None:
                raise MissingWorkspaceError(
                    f"There is no workspace at {address}: open it with create=True to make one."
                )
            workspace_id = install(graph)
            cache = _cache(address, folder, workspace_id)
            arrays = ArrayStore(address.arrays, budget, cache / "decoded")
            _check_arrays_are_there(address, graph, arrays)
            owner = arrays.claim(workspace_id)
            if owner != workspace_id:
                raise MismatchError(
                    f"The graph of {address} is workspace {workspace_id}, its arrays belong to workspace {owner}. "
                    "Open each graph with the arrays it was made with."
                )
            if folder is not None:
                arrays.raw.guard(graph.check_place)
                take_arrays(arrays.raw, folder)
            else:
                take_arrays_of_database(arrays.raw, graph, workspace_id)
            columns = Columns(graph, arrays, cache / "columns")
            patiently(partial(_chunk, graph, columns))
            vectors = VectorStore(arrays, budget)
        except BaseException:
            graph.close()
            raise
        return cls(address, workspace_id, graph, arrays, columns, vectors, cache, budget)

    @classmethod
    def at(cls, address: Address) -> Stores:
        """The stores of an address in this process, opened if they are not yet: an unpickled query runs on them."""
        with _lock:
            opened = _open.get((os.getpid(), address))
        if opened is not None:
            return opened
        stores = cls.open(address, create=False)
        stores.keep()
        return stores

    def __reduce__(self) -> tuple[type[Later], tuple[Address]]:
        """Pickle as `Later`, which opens the stores in the other process on first use."""
        return Later, (self.address,)

    def keep(self) -> None:
        """Let `at` find these stores."""
        with _lock:
            _open[os.getpid(), self.address] = self

    def same_workspace(self, other: Stores) -> bool:
        """Whether both are the same workspace. A copy has the id of the original, and another folder or server."""
        if self.workspace_id != other.workspace_id:
            return False
        if self.address.folder is not None and other.address.folder is not None:
            return Path(self.address.folder).samefile(other.address.folder)
        return self.address.arrays == other.address.arrays

    def close(self) -> None:
        """Close the connections. The embedded engine stops by itself when its last user has gone."""
        with _lock:
            if _open.get((os.getpid(), self.address)) is self:
                del _open[os.getpid(), self.address]
        self.graph.close()


class Later:
    """Stores that were pickled in another process, opened in this one on first use."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(Stores.at(self.address), name)


def _open_graph(address: Address) -> Graph:
    if address.folder is not None:
        return _verified(Graph(*open_embedded(Path(address.folder) / "engine")))
    if address.password is None:
        raise LoginError(f"{address.graph} asks for a password: give password=, or set ODIN_GRAPH_PASSWORD.")
    return _verified(Graph(Endpoint(address.graph or "", address.user or "", address.password, address.database)))


def _verified(graph: Graph) -> Graph:
    try:
        graph.verify()
    except BaseException:
        graph.close()
        raise
    return graph


def _chunk(graph: Graph, columns: Columns) -> None:
    """Make the chunks of data set versions from before there were chunks. May be run again, and by several at once."""
    for row in graph.read("MATCH (d:Dataset) WHERE d.odin_unchunked = true RETURN d.id AS id ORDER BY id"):
        try:
            members = columns.members(row["id"])
        except (StoreError, OSError):  # lost or damaged, of which the doctor tells
            continue
        redraw_chunks(graph, row["id"], members)
        graph.write("MATCH (d:Dataset {id: $id}) SET d.odin_unchunked = null", row)


def _check_arrays_are_there(address: Address, graph: Graph, arrays: ArrayStore) -> None:
    """Refuse an empty arrays folder if the graph names arrays: they are elsewhere, or lost."""
    if (
        not arrays.raw.exists(OWNER)
        and graph.read("MATCH (s:Segment) RETURN s.id AS id LIMIT 1")
        and not arrays.files()
    ):
        raise MismatchError(
            f"{address.arrays} is empty, and the graph of {address} names arrays: give the arrays= that it was made "
            "with, or bring them back from a backup."
        )


def _cache(address: Address, folder: Path | None, workspace_id: str) -> Path:
    """The cache folder: inside the workspace folder, or for a server one of the user, named by server and arrays."""
    if folder is not None:
        cache = folder / "cache"
        with suppress(OSError):  # a folder that cannot be written costs speed
            cache.mkdir(exist_ok=True)
        return cache
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(f"{address.graph}\n{address.database}\n{address.arrays}".encode()).hexdigest()[:12]
    cache = home / "odin-graph" / "workspaces" / f"{workspace_id}-{digest}"
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return cache


# The key has the process id: a forked child opens its own.
_open: dict[tuple[int, Address], Stores] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have locked it


os.register_at_fork(after_in_child=_after_fork)


def hidden_texts(stores: Stores) -> list[str]:
    """Texts that no answer of a server may contain: addresses of the engines, and their logins."""
    endpoint, address = stores.graph.endpoint, stores.address
    texts = [endpoint.address, endpoint.address.partition("://")[2], endpoint.http, endpoint.folder, endpoint.password]
    texts += [endpoint.reader_password, endpoint.counters, address.arrays, address.folder, address.graph]
    return sorted({str(text) for text in texts if text and len(str(text)) > 3}, key=len, reverse=True)
