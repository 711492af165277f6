"""`Session`: what all objects use, whether the workspace is open in this process or at a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_type_hints

import pyarrow as pa

from odin_graph.address import Address, Remote
from odin_graph.arrays import SegmentedArray
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.caller import called
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.records.files import FileReader, StoredFiles
from odin_graph.client import travel
from odin_graph.client.executor import RemoteExecutor
from odin_graph.client.files import RemoteFiles
from odin_graph.client.link import Link
from odin_graph.client.pixels import RemotePixels
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, ReadOnlyError, RemoteError
from odin_graph.graph import Records
from odin_graph.query.executor import CachedAnswer, Executor, LocalExecutor
from odin_graph.query.plan.json_values import from_json, to_json
from odin_graph.served import SERVED, name_of
from odin_graph.stores import Stores

P = ParamSpec("P")
T = TypeVar("T")


class Session(Protocol):
    """What objects need of a workspace."""

    @property
    def address(self) -> Address | Remote:
        """The address: two sessions of one address belong to one workspace."""
        ...

    @property
    def stores(self) -> Stores:
        """The open engines, for what writes.

        Raises:
            RemoteError: The workspace is far away.
        """
        ...

    def executor(self, answer: CachedAnswer | None = None) -> Executor:
        """The executor, which checks and answers plans.

        Args:
            answer: Where the answer of the one plan that is asked about is kept.
        """
        ...

    def ask(self, function: Callable[Concatenate[Stores, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a served function: facts, relatives, results ...; raises what it raises."""
        ...

    @property
    def pixels(self) -> PixelReader:
        """The pixels of all images."""
        ...

    @property
    def files(self) -> FileReader:
        """The files that things name."""
        ...

    def cypher(self, statement: str, parameters: dict[str, Any], timeout: float | None) -> Records:
        """The rows of a statement that reads."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True)
class LocalSession:
    """A workspace that is open in this process."""

    stores: Stores

    @property
    def address(self) -> Address:
        """The address of the stores."""
        return self.stores.address

    def executor(self, answer: CachedAnswer | None = None) -> LocalExecutor:
        """Over the stores."""
        return LocalExecutor(self.stores, answer)

    def ask(self, function: Callable[Concatenate[Stores, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it."""
        return function(self.stores, *args, **kwargs)

    @property
    def pixels(self) -> SegmentedArray:
        """The stored pixels."""
        return self.stores.columns.array(ARRAY)

    @property
    def files(self) -> StoredFiles:
        """The stored files."""
        return StoredFiles(self.stores)

    def cypher(self, statement: str, parameters: dict[str, Any], timeout: float | None) -> Records:
        """Run it; the engine refuses what writes."""
        return self.stores.graph.user_read(statement, parameters, timeout=timeout)

    def close(self) -> None:
        """Close the engines."""
        self.stores.close()


@dataclass(frozen=True)
class RemoteSession:
    """A workspace that a server has open. It pickles without its token."""

    link: Link

    @property
    def address(self) -> Remote:
        """The address of the server."""
        return self.link.address

    @property
    def stores(self) -> Stores:
        """A remote session has none: whatever writes fails here.

        Raises:
            RemoteError: Always; names what the user called.
        """
        raise RemoteError(
            f"{called()} needs the workspace itself: it stores something there, or hands out what stores it. Over HTTP "
            "you can only read. On the machine of the workspace, use og.connect(folder). A colleague there runs what "
            "query.to_json() gives."
        )

    def executor(self, answer: CachedAnswer | None = None) -> RemoteExecutor:  # noqa: ARG002 - the server keeps answers
        """Over HTTP."""
        return RemoteExecutor(self.link)

    def ask(self, function: Callable[Concatenate[Stores, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Have the server call it."""
        name = name_of(function)
        assert name in SERVED, f"{name} is not served"
        bound = signature(function).bind(None, *args, **kwargs).arguments
        body = {"arguments": {key: travel.argument_to_json(value) for key, value in list(bound.items())[1:]}}
        found: Any
        if get_type_hints(function)["return"] is pa.Table:
            found = pa.Table.from_batches(self.link.batches(f"/v1/ask/{name}", body))
        else:
            found = travel.from_json(self.link.post(f"/v1/ask/{name}", body)["answer"])
        answer: T = found
        return answer

    @property
    def pixels(self) -> RemotePixels:
        """They are fetched when they are read."""
        return RemotePixels(self.link)

    @property
    def files(self) -> RemoteFiles:
        """They are fetched when they are read."""
        return RemoteFiles(self.link)

    def cypher(self, statement: str, parameters: dict[str, Any], timeout: float | None) -> Records:
        """Have it run, where the server allows it."""
        with deadline(timeout):
            try:
                response = self.link.post("/v1/cypher", {"statement": statement, "parameters": to_json(parameters)})
            except QueryError as error:
                if str(error) != "Not Found":
                    raise
                raise ReadOnlyError("This server answers no Cypher: `odin serve --cypher` does.") from error
        rows: list[dict[str, Any]] = from_json(response["rows"])
        return Records(list(rows[0]) if rows else [], rows)

    def close(self) -> None:
        """Close the connections."""
        self.link.close()

    def __reduce__(self) -> tuple[Callable[[Address | Remote], Session], tuple[Remote]]:
        """In another process: a session of its own."""
        return session_at, (self.address,)


def pixels_at(address: Address | Remote) -> PixelReader:
    """The pixels of an address, for a process that has nothing open yet."""
    return session_at(address).pixels


def session_at(address: Address | Remote) -> Session:
    """The session of an address: of the stores that are open here, or of a server."""
    return RemoteSession(Link.at(address)) if isinstance(address, Remote) else LocalSession(Stores.at(address))
