"""One workspace's connection to its graph engine: a driver of its own, safe to fork and to share between threads."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import DriverError, IncompleteCommit, Neo4jError

from odin_graph.deadline import check_seconds, remaining
from odin_graph.errors import ConflictError, OdinError, UnreachableError, WorkspaceError
from odin_graph.graph import counters, export, journal, statements
from odin_graph.graph.column_client import DeclinedError, read_columns
from odin_graph.graph.embedded import Attachment
from odin_graph.graph.endpoint import Endpoint
from odin_graph.graph.export import Part
from odin_graph.graph.failures import exhausted, is_lost, translated, worth_retrying
from odin_graph.graph.journal import Point, Touched
from odin_graph.graph.moment import Moment
from odin_graph.graph.reach import Reach
from odin_graph.graph.read_only import check_may_write
from odin_graph.graph.records import Records
from odin_graph.graph.stopping import Single, opened, single
from odin_graph.graph.token import ChangeToken, embedded_token
from odin_graph.graph.transaction import Transaction, row_of
from odin_graph.graph.values import parameters, sending
from odin_graph.schema.metadata import FieldType

T = TypeVar("T")
logging.getLogger("neo4j").addHandler(logging.NullHandler())  # our errors report broken connections

RETRY_SECONDS: Final = 30.0
"""Seconds in which a transaction that lost a conflict is run again, as in the driver's managed ones."""
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 20.0
"""Time in which an engine that takes a connection greets, or a connection becomes free."""
_APPROVED: Final = 256
"""Statements of users whose explanation is remembered."""
LIVES: Final = 2
"""How often a call goes on with an embedded engine that was started again."""


class Graph:
    """The property graph of one workspace, over Bolt.

    Args:
        endpoint: Where it is and how to log in.
        attachment: Of an embedded engine, which is then started again where it was ended under its users; closed by
            `close`.
    """

    def __init__(self, endpoint: Endpoint, attachment: Attachment | None = None) -> None:
        self.database = endpoint.database
        self._reach = Reach(endpoint, attachment)
        self._moment: Moment | None = None
        self._only_read: OrderedDict[str, None] = OrderedDict()
        self._drivers: dict[tuple[int, bool, str], neo4j.Driver] = {}
        self._at_close: list[Callable[[], None]] = []
        self._opening = threading.Lock()
        self._changes = 0
        self._closed = False
        _graphs.add(self)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the engine, which changes when it is started again."""
        return self._reach.now[0]

    @property
    def address(self) -> str:
        """The engine's Bolt address."""
        return self.endpoint.address

    def check_place(self) -> None:
        """Refuse where the workspace's folder was moved or deleted meanwhile.

        Raises:
            WorkspaceError: It is not the folder any more that was opened.
        """
        self._reach.check_place()

    def verify(self) -> None:
        """Ask the engine for a sign of life.

        Raises:
            UnreachableError: Nobody answers.
            LoginError: The user or the password is refused.
        """

        def ask() -> None:
            with self._session() as session:
                session.run("RETURN 1").consume()

        self._again_if_lost(ask)

    def driver(self) -> neo4j.Driver:
        """The driver that writes. A forked child gets one of its own: a connection cannot be shared."""
        return self._driver(reader=False)

    def ensure(self) -> None:
        """Start an embedded engine again if it has ended; for connections that are not made here."""
        self._reach.ensure()

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a statement of ours that reads, and return its rows."""
        return self._managed(lambda tx: tx.run(cypher, params), access=neo4j.READ_ACCESS, begin=single)

    def write(
        self, cypher: str, params: Mapping[str, Any] | None = None, touched: Touched | None = None
    ) -> list[dict[str, Any]]:
        """Run one statement in a write transaction, and return its rows; ``touched`` as in `Transaction.run`."""
        return self._managed(lambda tx: tx.run(cypher, params, touched), access=neo4j.WRITE_ACCESS)

    def execute(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` in one write transaction, again where it lost a conflict: ``work`` must allow that."""
        return self._managed(work, access=neo4j.WRITE_ACCESS)

    def stream(
        self, cypher: str, params: Mapping[str, Any] | None = None, size: int = 10_000
    ) -> Iterator[list[dict[str, Any]]]:
        """The rows of a statement that reads, in lists of up to ``size``, without holding them all."""
        begun, lives = False, LIVES
        with translated(self.endpoint):
            while True:
                endpoint = self.endpoint
                try:
                    with (
                        self._session(neo4j.READ_ACCESS, fetch_size=size) as session,
                        opened(session, self._session, None) as tx,
                    ):
                        with sending():
                            result = tx.run(cypher, dict(params or {}))
                        names = result.keys()
                        while rows := result.fetch(size):
                            begun = True
                            yield [row_of(names, record) for record in rows]
                    return
                except (Neo4jError, DriverError) as error:
                    lives -= 1
                    if not is_lost(error) or not self._reach.renew(endpoint) or begun or lives < 0:
                        raise

    def export(self, label: str, types: Mapping[str, FieldType], made: Callable[[Part], T]) -> list[T]:
        """All nodes of a label that have a key and are not deleted, as columns; in any order.

        An embedded engine's keeper hands them out itself, several times faster than over Bolt. There no node is half of
        a write, but two may be of different moments. Neo4j reads the properties of a node one by one: a caller who
        needs to know that nobody wrote meanwhile compares change tokens.

        Args:
            label: Theirs.
            types: The fields that are read, with their recorded types; ``key`` among them.
            made: Called with each part: what it returns is kept instead. Again from the first part on where an engine
                ended meanwhile, or its keeper could not go on.
        """
        names = [*types]
        for _ in range(LIVES):
            self._check_open()
            endpoint = self.endpoint
            try:
                with closing(read_columns(endpoint.columns, label, types)) as parts:
                    return [
                        made(part if isinstance(part, Mapping) else export.of_keys(self, label, names, part))
                        for part in parts
                    ]
            except DeclinedError:
                break
            except OSError:
                remaining()  # it may have been the time that was over
                if not self._reach.renew(endpoint):
                    break
        with closing(export.in_ranges(self, label, names)) as parts:
            return list(map(made, parts))

    def autocommit(self, cypher: str) -> None:
        """Run a statement that manages transactions itself (DDL, or `CALL {} IN TRANSACTIONS`)."""
        check_may_write()

        def run() -> None:
            with self._session() as session:
                session.run(cypher).consume()

        self._again_if_lost(run)
        self._moment = None

    def user_read(
        self, cypher: str, params: Mapping[str, Any], timeout: float | None = None, most: int | None = None
    ) -> Records:
        """Run a user's statement where the engine itself refuses a write.

        Raises:
            ReadOnlyError: It writes, fetches something, or asks the server instead of the graph.
            QueryError: The engine refuses it.
        """
        check_seconds(timeout)
        self._check_reads(cypher, timeout)
        return self._managed(
            lambda tx: tx.records(cypher, parameters(params), most),
            neo4j.READ_ACCESS,
            reader=True,
            timeout=timeout,
            theirs=True,
        )

    def user_write(self, cypher: str, params: Mapping[str, Any], timeout: float | None = None) -> Records:
        """Run a user's statement in a write transaction."""
        check_seconds(timeout)
        return self._managed(
            lambda tx: tx.records(cypher, parameters(params)), neo4j.WRITE_ACCESS, timeout=timeout, theirs=True
        )

    def change_token(self) -> ChangeToken:
        """A token that changes when anybody writes, and only then."""
        if self.endpoint.http is not None:
            return self._embedded_token()
        with translated(self.endpoint), self._session(neo4j.READ_ACCESS) as session:
            session.run("RETURN 1").consume()
            return ChangeToken("", "|".join(sorted(session.last_bookmarks().raw_values)))

    def moment(self) -> Moment:
        """The state of the graph now, with what was read of it before."""
        token, current = self.change_token(), self._moment
        if current is None or current.token != token:
            current = self._moment = Moment(self, token)
        return current

    def point(self) -> Point | None:
        """The state of the graph now, as its journal has it; None where others never stop writing."""
        return journal.point(self.read, self.change_token)

    def since(self, known: Point) -> tuple[list[Touched], Point] | None:
        """What was changed of images since a state, and the state now; None where a foreign client has written."""
        return journal.since(self.read, self.change_token, known)

    @property
    def last_moment(self) -> Moment | None:
        """The last state that was looked up, unless something was written here since; others may have written."""
        return self._moment

    def reserve_keys(self, n: int, counter: str = "image") -> range:
        """Reserve ``n`` numbers of a counter, which nobody else ever gets. The first ever is 1."""

        def reserve() -> range:  # numbers that nobody gets are no loss, so it may be done twice
            return self._managed(
                lambda tx: counters.reserve(tx.run, n, counter), access=neo4j.WRITE_ACCESS, repeatable=True
            )

        try:
            return reserve()
        except ConflictError:  # two were the first to ask, and made the counter at once: now it is there
            return reserve()

    def at_close(self, call: Callable[[], None]) -> None:
        """Have something called just before the connections are closed."""
        self._at_close.append(call)

    def close(self) -> None:
        """Close the connections, and stop using an embedded engine."""
        while self._at_close:
            self._at_close.pop()()
        self._closed = True
        for (pid, *_), driver in self._drivers.items():
            if pid == os.getpid():
                driver.close()
        self._drivers.clear()
        self._reach.close()

    def _embedded_token(self) -> ChangeToken:
        self.check_place()
        for _ in range(LIVES):
            endpoint, client = self._reach.now
            try:
                return embedded_token(endpoint, client)
            except UnreachableError:
                if self._closed or not self._reach.renew(endpoint):
                    raise
        return embedded_token(*self._reach.now)

    def _again_if_lost(self, work: Callable[[], T]) -> T:
        """Run what may run twice; again where an embedded engine ended meanwhile."""
        lives = LIVES
        with translated(self.endpoint):
            while True:
                endpoint = self.endpoint
                try:
                    return work()
                except (Neo4jError, DriverError) as error:
                    lives -= 1
                    if lives < 0 or not is_lost(error) or not self._reach.renew(endpoint):
                        raise

    def _check_reads(self, cypher: str, timeout: float | None) -> None:
        """Have the engine explain a user's statement; one that only reads is remembered."""
        if cypher in self._only_read:
            return

        def explained(tx: Transaction) -> tuple[statements.Explained, str | None, frozenset[str]]:
            if self.endpoint.http is not None:
                return tx.explain(cypher), None, frozenset()
            (info,) = tx.run("CALL db.info() YIELD name RETURN name")
            plugins = tx.run("SHOW FUNCTIONS YIELD name, isBuiltIn WHERE NOT isBuiltIn RETURN name")
            return tx.explain(cypher), str(info["name"]), frozenset(row["name"] for row in plugins)

        statements.check_reads(cypher, *self._managed(explained, neo4j.READ_ACCESS, reader=True, timeout=timeout))
        self._only_read[cypher] = None
        while len(self._only_read) > _APPROVED:
            with suppress(KeyError):  # another thread was faster
                self._only_read.popitem(last=False)

    def _managed(
        self,
        work: Callable[[Transaction], T],
        access: str,
        *,
        reader: bool = False,
        timeout: float | None = None,
        repeatable: bool = False,
        theirs: bool = False,
        begin: Callable[..., AbstractContextManager[neo4j.Transaction | Single]] = opened,
    ) -> T:
        """Like the driver's managed transactions, which do not know ArcadeDB's conflicts, nor engines that start again.

        Args:
            work: What is done in a transaction; again, where nothing of it can have been written.
            access: Reads or writes.
            reader: By the log-in that only reads.
            timeout: Seconds that the engine may take.
            repeatable: It may be done once more where it may have been written already.
            theirs: A user's statement, which is not run again where the engine ran out of memory with it.
            begin: Begins the transaction: `opened`, or `single` for one statement.
        """
        writes = access == neo4j.WRITE_ACCESS
        if writes:
            check_may_write()
            # What a user writes counts as foreign: Neo4j lets nothing stand beside an index or a role that is made.
            work = work if theirs else partial(self._recorded, work)
        until = time.monotonic() + RETRY_SECONDS
        pause, lives = 0.01, LIVES
        with translated(self.endpoint):
            while True:
                endpoint = self.endpoint
                try:
                    seconds = _least(timeout, remaining())
                    with (
                        self._session(access, reader=reader) as session,
                        begin(session, partial(self._session, reader=reader), seconds) as tx,
                    ):
                        answer = work(Transaction(tx))
                    if writes:
                        self._moment = None
                        self._forget_changes()
                    return answer
                except (Neo4jError, DriverError) as error:
                    if is_lost(error) and self._reach.renew(endpoint):
                        lives -= 1
                        if writes and isinstance(error, IncompleteCommit) and not repeatable:
                            raise
                        if (theirs or lives < 0) and self._reach.was_exhausted(endpoint):
                            raise exhausted() from error
                        if lives >= 0:
                            continue
                    if not worth_retrying(error) or time.monotonic() > until:
                        raise
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - a pause is no secret
                pause = min(pause * 2, 1.0)

    def _recorded(self, work: Callable[[Transaction], T], tx: Transaction) -> T:
        """Do what is done in a transaction, and record in the journal what it changed, as the last of it."""
        answer = work(tx)
        tx.check()
        self._changes += journal.record(tx.run, tx.touched)
        return answer

    def _forget_changes(self) -> None:
        """Remove the oldest changes from the journal, after many of them."""
        if self._changes >= journal.SPARE:
            self._changes = 0
            with suppress(OdinError):  # another process was faster
                self.execute(lambda tx: journal.forget(tx.run))

    def _session(
        self, access: str = neo4j.WRITE_ACCESS, *, reader: bool = False, fetch_size: int = 10_000
    ) -> neo4j.Session:
        return self._driver(reader=reader and self.endpoint.reader is not None).session(
            database=self.database, default_access_mode=access, fetch_size=fetch_size
        )

    def _driver(self, *, reader: bool) -> neo4j.Driver:
        self._check_open()
        endpoint = self.endpoint
        which = os.getpid(), reader, endpoint.address
        with self._opening:
            if which not in self._drivers:
                user, password = endpoint.user, endpoint.password
                if reader:
                    user, password = endpoint.reader or "", endpoint.reader_password or ""
                try:
                    with translated(endpoint):
                        self._drivers[which] = neo4j.GraphDatabase.driver(
                            endpoint.address,
                            auth=(user, password),
                            connection_timeout=CONNECT_SECONDS,
                            connection_acquisition_timeout=ANSWER_SECONDS,
                            max_transaction_retry_time=RETRY_SECONDS,
                            notifications_min_severity="OFF",
                        )
                except ValueError as error:  # of urllib, which the driver reads the address with
                    raise UnreachableError(f"{self.address!r} is not an address of a graph engine: {error}.") from error
            return self._drivers[which]

    def _check_open(self) -> None:
        if self._closed:
            raise WorkspaceError(f"The workspace at {self.address} is closed: open it again with og.connect(...).")
        self.check_place()  # an engine whose folder was deleted goes on for a moment, and would still answer

    def _forget(self) -> None:
        """In a forked child: the parent's drivers must not be used or closed, and its lock may be held for ever."""
        self._opening = threading.Lock()
        self._reach.forget()
        _PARENTS.append(dict(self._drivers))
        self._drivers.clear()


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


# Kept from being collected in a forked child, where their destructors would talk over the parent's sockets.
_PARENTS: list[Mapping[Any, neo4j.Driver]] = []
_graphs: weakref.WeakSet[Graph] = weakref.WeakSet()


def _after_fork() -> None:
    for graph in list(_graphs):
        graph._forget()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)
