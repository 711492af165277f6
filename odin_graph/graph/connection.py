"""One workspace's connection to its graph engine: a driver of its own, safe to fork and to share between threads."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from odin_graph.errors import ConflictError
from odin_graph.graph import counters, statements
from odin_graph.graph.endpoint import Endpoint
from odin_graph.graph.failures import translated, worth_retrying
from odin_graph.graph.records import Records
from odin_graph.graph.token import ChangeToken, embedded_token
from odin_graph.graph.values import parameters, plain

T = TypeVar("T")

RETRY_SECONDS: Final = 30.0
"""How long a transaction that lost against another is run again, as the driver's managed ones are."""
CONNECT_SECONDS: Final = 10.0


class Transaction:
    """An open transaction. All of it happens, or nothing."""

    def __init__(self, open_: neo4j.Transaction) -> None:
        self._open = open_

    def run(self, cypher: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a statement and return its rows. Values go in as parameters."""
        result = self._open.run(cypher, dict(params or {}))
        names = result.keys()
        return [dict(zip(names, map(plain, record.values()), strict=True)) for record in result]


class Graph:
    """The property graph of one workspace, over Bolt.

    Args:
        endpoint: Where it is and how to log in.
        release: Called by `close`, to stop using an embedded engine.
    """

    def __init__(self, endpoint: Endpoint, release: Callable[[], None] | None = None) -> None:
        self.endpoint = endpoint
        self.address = endpoint.address
        self.database = endpoint.database
        self._release = release
        self._drivers: dict[tuple[int, bool], neo4j.Driver] = {}
        self._opening = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def verify(self) -> None:
        """Ask the engine for a sign of life.

        Raises:
            UnreachableError: Nobody answers.
            LoginError: The user or the password is refused.
        """
        with translated(self.address), self._session() as session:
            session.run("RETURN 1").consume()

    def driver(self) -> neo4j.Driver:
        """The driver that writes. A forked child gets one of its own: a connection cannot be shared."""
        return self._driver(reader=False)

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a statement of ours that reads, and return its rows."""
        return self._managed(lambda tx: tx.run(cypher, params), access=neo4j.READ_ACCESS)

    def write(self, cypher: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement in a write transaction, and return its rows."""
        return self._managed(lambda tx: tx.run(cypher, params), access=neo4j.WRITE_ACCESS)

    def execute(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in one write transaction, and again where it lost against another: it must bear that."""
        return self._managed(work, access=neo4j.WRITE_ACCESS)

    def stream(
        self, cypher: str, params: Mapping[str, Any] | None = None, size: int = 10_000
    ) -> Iterator[list[dict[str, Any]]]:
        """The rows of a statement that reads, in lists of up to ``size``, without holding them all."""
        with translated(self.address), self._session(neo4j.READ_ACCESS, fetch_size=size) as session:
            result = session.run(cypher, dict(params or {}))
            names = result.keys()
            while rows := result.fetch(size):
                yield [dict(zip(names, map(plain, record.values()), strict=True)) for record in rows]

    def autocommit(self, cypher: str) -> None:
        """Run a statement that manages transactions itself (DDL, or `CALL {} IN TRANSACTIONS`)."""
        with translated(self.address), self._session() as session:
            session.run(cypher).consume()

    def user_read(self, cypher: str, params: Mapping[str, Any], timeout: float | None = None) -> Records:
        """Run a user's statement where the engine itself refuses a write.

        Raises:
            ReadOnlyError: It writes, or reads files of the server.
            QueryError: The engine refuses it.
        """
        statements.refuse_files(cypher)
        with translated(self.address), self._session(neo4j.READ_ACCESS, reader=True) as session:
            return session.execute_read(_user_work(cypher, params, timeout))

    def user_write(self, cypher: str, params: Mapping[str, Any], timeout: float | None = None) -> Records:
        """Run a user's statement in a write transaction."""
        work = _user_work(cypher, params, timeout)
        with translated(self.address), self._session() as session:
            return session.execute_write(work)

    def change_token(self) -> ChangeToken:
        """What changes when anybody writes, and only then."""
        if self.endpoint.http is not None:
            return embedded_token(self.endpoint)
        with translated(self.address), self._session(neo4j.READ_ACCESS) as session:
            session.run("RETURN 1").consume()
            return ChangeToken("", "|".join(sorted(session.last_bookmarks().raw_values)))

    def reserve_keys(self, n: int, counter: str = "image") -> range:
        """Reserve ``n`` numbers of a counter, which nobody else ever gets. The first ever is 1."""
        try:
            return self.execute(lambda tx: counters.reserve(tx.run, n, counter))
        except ConflictError:  # two were the first to ask, and made the counter at once: now it is there
            return self.execute(lambda tx: counters.reserve(tx.run, n, counter))

    def lend_to_neomodel(self, *, if_free: bool = False) -> None:
        """Let neomodel, whose connection is one per process, use this workspace.

        Args:
            if_free: Leave it where it is if another open workspace holds it.
        """
        from odin_graph.graph import orm

        orm.lend(self, if_free=if_free)

    def close(self) -> None:
        """Close the connections, and stop using an embedded engine."""
        from odin_graph.graph import orm

        orm.take_back(self)
        for (pid, _), driver in self._drivers.items():
            if pid == os.getpid():
                driver.close()
        self._drivers.clear()
        if self._release is not None:
            self._release()
            self._release = None

    def _managed(self, work: Callable[[Transaction], T], access: str) -> T:
        """As the driver's own managed transactions, which do not know ArcadeDB's conflicts."""
        until = time.monotonic() + RETRY_SECONDS
        pause = 0.01
        with translated(self.address):
            while True:
                try:
                    with self._session(access) as session, session.begin_transaction() as tx:
                        answer = work(Transaction(tx))
                        tx.commit()
                        return answer
                except (Neo4jError, DriverError) as error:
                    if not worth_retrying(error) or time.monotonic() > until:
                        raise
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - a pause is no secret
                pause = min(pause * 2, 1.0)

    def _session(
        self, access: str = neo4j.WRITE_ACCESS, *, reader: bool = False, fetch_size: int = 10_000
    ) -> neo4j.Session:
        return self._driver(reader=reader and self.endpoint.reader is not None).session(
            database=self.database, default_access_mode=access, fetch_size=fetch_size
        )

    def _driver(self, *, reader: bool) -> neo4j.Driver:
        which = os.getpid(), reader
        with self._opening:
            if which not in self._drivers:
                user, password = self.endpoint.user, self.endpoint.password
                if reader:
                    user, password = self.endpoint.reader or "", self.endpoint.reader_password or ""
                with translated(self.address):
                    self._drivers[which] = neo4j.GraphDatabase.driver(
                        self.address,
                        auth=(user, password),
                        connection_timeout=CONNECT_SECONDS,
                        max_transaction_retry_time=RETRY_SECONDS,
                        notifications_min_severity="OFF",
                    )
            return self._drivers[which]

    def _forget(self) -> None:
        """In a forked child: the parent's drivers are not ours to use or to close, its lock may be held by no one."""
        self._opening = threading.Lock()
        _PARENTS.append(dict(self._drivers))
        self._drivers.clear()


# Kept from being collected in a forked child, where their destructors would talk over the parent's sockets.
_PARENTS: list[Mapping[Any, neo4j.Driver]] = []


def _user_work(
    cypher: str, params: Mapping[str, Any], timeout: float | None
) -> Callable[[neo4j.ManagedTransaction], Records]:
    @neo4j.unit_of_work(timeout=timeout)
    def work(tx: neo4j.ManagedTransaction) -> Records:
        result = tx.run(cypher, parameters(params))
        names = result.keys()
        return Records(names, [dict(zip(names, map(plain, record.values()), strict=True)) for record in result])

    return work
