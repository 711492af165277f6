"""The driver's errors become ours here, and only here."""

from __future__ import annotations

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
    DriverError,
    Forbidden,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from odin_graph.errors import (
    ConflictError,
    EngineError,
    LoginError,
    OdinError,
    QueryError,
    ReadOnlyError,
    UnreachableError,
)

RETRIED: Final = ("ConcurrentModification", "NeedRetry", "DeadlockDetected")
"""Words of ArcadeDB's own errors that its Bolt server does not mark as transient."""


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Turn an error of the driver into one of ours, with the driver's as its cause.

    Args:
        address: Of the engine, for the message. Never holds a password.
    """
    try:
        yield
    except (Neo4jError, DriverError) as error:
        raise ours(error, address) from error


def ours(error: Neo4jError | DriverError, address: str) -> OdinError:
    """The error of ours that says what the driver's means."""
    message = (" ".join(map(str, error.args)) or getattr(error, "message", None) or str(error)).strip()
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
        case CypherSyntaxError() | CypherTypeError() | ClientError():
            return QueryError(f"The graph engine refuses the statement: {message}")
        case ServiceUnavailable() | SessionExpired():
            return UnreachableError(
                f"No graph engine answers at {address}: {message}. Is it running, and is the address right?"
            )
        case ConfigurationError():
            return EngineError(f"The connection to {address} is set up wrongly: {message}")
    return EngineError(f"The graph engine at {address} failed: {message}")


def worth_retrying(error: Neo4jError | DriverError) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return error.is_retryable() or any(word in str(error) for word in RETRIED)
