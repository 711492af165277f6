"""Turns the driver's errors into ours; nothing else does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    ConstraintError,
    CypherSyntaxError,
    CypherTypeError,
    DatabaseError,
    DriverError,
    Forbidden,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from odin_graph.errors import (
    ConflictError,
    DataError,
    EngineError,
    LoginError,
    MemoryLimitError,
    OdinError,
    QueryError,
    ReadOnlyError,
    SpaceError,
    UncertainWriteError,
    UnreachableError,
)
from odin_graph.graph.endpoint import LEAST_SPACE, Endpoint

RETRIED: Final = ("ConcurrentModification", "NeedRetry", "DeadlockDetected")
"""Words of ArcadeDB's own errors that its Bolt server does not mark as transient."""


@contextmanager
def translated(endpoint: Endpoint) -> Iterator[None]:
    """Turn an error of the driver into one of ours, with the driver's as its cause."""
    try:
        yield
    except (Neo4jError, DriverError) as error:
        raise ours(error, endpoint) from error
    except UnicodeEncodeError as error:
        raise DataError(
            f"A text of {str(error.object)!r:.80} contains half a character, which cannot be stored: leave it out."
        ) from error


def ours(error: Neo4jError | DriverError, endpoint: Endpoint) -> OdinError:
    """Our error for an error of the driver."""
    address = endpoint.address
    if is_full(endpoint.folder) and not isinstance(
        error, CypherSyntaxError
    ):  # what the engine says then does not name the reason
        return SpaceError(
            f"No space is left at {endpoint.folder}, where the graph engine writes. Acknowledged changes are stored. "
            "Make room, for example with `odin gc`, and call again."
        )
    message = (" ".join(map(str, error.args)) or getattr(error, "message", None) or str(error)).strip()
    if isinstance(error, DriverError):
        return _of_the_connection(error, address, message)
    match error:
        case AuthError() if not isinstance(error, Forbidden):
            return LoginError(
                f"{address} refuses the user or the password. Give user= and password=, or ODIN_GRAPH_PASSWORD."
            )
        case Forbidden():
            return ReadOnlyError(f"The statement writes, and this log-in only reads: use write=True. ({message})")
        case ClientError() if (error.code or "").endswith("AccessMode"):
            return ReadOnlyError(f"The statement writes, and reading was asked for: use write=True. ({message})")
        case ConstraintError():
            return ConflictError(f"Something of that id exists already: {message}")
        case ClientError() if "DatabaseNotFound" in (error.code or ""):
            return UnreachableError(f"{address} has no such database: {message}. Give one that exists with database=.")
        case CypherSyntaxError() | CypherTypeError() | ClientError() | DatabaseError() if _refused(error, message):
            return QueryError(f"The graph engine refuses the statement: {message}")
    return EngineError(f"The graph engine at {address} failed: {message}")


def _of_the_connection(error: DriverError, address: str, message: str) -> OdinError:
    match error:
        case IncompleteCommit():
            return UncertainWriteError(
                f"The graph engine at {address} stopped during a commit: it may have written everything, or "
                "nothing. Make the same call again: calls that take ids store nothing twice. Before you repeat a "
                "statement of your own, check what it wrote."
            )
        case ServiceUnavailable() | SessionExpired():
            return UnreachableError(
                f"No graph engine answers at {address}: {message}. Is it running, and is the address right?"
            )
        case ConfigurationError():
            return EngineError(f"The connection to {address} is set up wrongly: {message}")
    return EngineError(f"The graph engine at {address} failed: {message}")


def _refused(error: Neo4jError | DriverError, message: str) -> bool:
    """Whether it is the statement's fault: ArcadeDB says of an unknown procedure that the database failed."""
    return not isinstance(error, DatabaseError) or message.startswith("Unknown ")


def worth_retrying(error: Neo4jError | DriverError) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return error.is_retryable() or any(word in str(error) for word in RETRIED)


def is_lost(error: Neo4jError | DriverError) -> bool:
    """Whether the engine may have ended: it does not answer, or another one that has its port knows no such user."""
    gone = isinstance(error, ServiceUnavailable | SessionExpired)
    return gone or (isinstance(error, AuthError) and not isinstance(error, Forbidden))


def exhausted() -> MemoryLimitError:
    """The error for a statement with which the embedded engine ran out of memory."""
    return MemoryLimitError(
        "The graph engine ran out of memory while this statement ran, and was started again. Acknowledged changes "
        "are stored, and nothing of this statement. It, or another one at the same time, needs too much at once: "
        "return fewer rows with LIMIT, aggregate, or read it in parts."
    )


def is_full(folder: str) -> bool:
    """Whether the disk of a folder has no room for the engine."""
    try:
        return bool(folder) and shutil.disk_usage(folder).free < LEAST_SPACE
    except OSError:  # it was moved or deleted
        return False
