"""Statements are stopped at the engine, too, when their time is over or their caller is interrupted.

Closing a connection is not enough: an engine looks at it when it has an answer, and a driver that is interrupted waits
for the answer before it closes. Both engines speak SHOW TRANSACTIONS and TERMINATE TRANSACTIONS; a log-in may see and
terminate its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import neo4j
from neo4j.exceptions import DriverError, IncompleteCommit, Neo4jError

from odin_graph.deadline import out_of_time

Sessions = Callable[[], neo4j.Session]


@contextmanager
def opened(session: neo4j.Session, sessions: Sessions, seconds: float | None) -> Iterator[neo4j.Transaction]:
    """A transaction, committed at the end; after so many seconds, or where the caller is interrupted, terminated.

    Args:
        session: Where it is opened.
        sessions: Opens another session of the same log-in.
        seconds: None for as long as it takes.

    Raises:
        TimeLimitError: The time was over.
    """
    tx = session.begin_transaction(timeout=seconds)
    try:
        with _stoppable(session, sessions, seconds):
            yield tx
            tx.commit()
    finally:
        with suppress(Neo4jError, DriverError):  # of what has failed already, which is what the caller is to see
            tx.close()


class Single:
    """A session that runs one statement in a transaction of its own: a third of the time, without BEGIN and COMMIT."""

    def __init__(self, session: neo4j.Session, seconds: float | None) -> None:
        self._session = session
        self._seconds = seconds

    def run(self, cypher: str, parameters: dict[str, Any] | None = None) -> neo4j.Result:
        """Run the statement. Its rows must all be read."""
        return self._session.run(neo4j.Query(cypher, timeout=self._seconds), parameters)


@contextmanager
def single(session: neo4j.Session, sessions: Sessions, seconds: float | None) -> Iterator[Single]:
    """As `opened`, for one statement that reads."""
    with _stoppable(session, sessions, seconds):
        yield Single(session, seconds)


@contextmanager
def _stoppable(session: neo4j.Session, sessions: Sessions, seconds: float | None) -> Iterator[None]:
    ours = _Running(session, sessions)
    timer = threading.Timer(seconds, ours.stop) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    except (Neo4jError, DriverError) as error:
        if seconds is None or isinstance(error, IncompleteCommit) or not (ours.stopped or _timed_out(error)):
            raise
        raise out_of_time(seconds) from error
    except Exception:
        raise
    except BaseException:
        ours.stop()
        raise
    finally:
        if timer is not None:
            timer.cancel()
        ours.ended()


class _Running:
    """The statements of one transaction, which are known to the engine by the connection they came over.

    The next transaction uses the same connection: none is terminated after this one has ended.
    """

    def __init__(self, session: neo4j.Session, sessions: Sessions) -> None:
        self.stopped = False
        self._session = session
        self._sessions = sessions
        self._open = True
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Have the engine end what runs."""
        self.stopped = True
        addresses = _client_address(self._session)
        with suppress(Neo4jError, DriverError), self._sessions() as session:
            running = session.run("SHOW TRANSACTIONS YIELD transactionId, clientAddress")
            ids = [row["transactionId"] for row in running if row["clientAddress"] in addresses]
            with self._lock:
                if ids and self._open:
                    session.run("TERMINATE TRANSACTIONS $ids", ids=ids).consume()

    def ended(self) -> None:
        """Mark the transaction as ended; waits for a termination that is under way."""
        with self._lock:
            self._open = False


def _client_address(session: neo4j.Session) -> tuple[str, ...]:
    """How the engine may write our end of the session's connection; the driver has no public attribute for it.

    The id of the connection would be shorter, but ArcadeDB tells the driver another id than it lists.
    """
    connection: Any = getattr(session, "_connection", None)
    try:
        host, port = connection.socket.getsockname()[:2]
    except (AttributeError, OSError):
        return ()
    return f"{host}:{port}", f"/{host}:{port}", f"[{host}]:{port}"


def _timed_out(error: Exception) -> bool:
    """Whether the engine itself ended the statement: it knows the time limit, too."""
    return "TransactionTimedOut" in (getattr(error, "code", None) or "")
