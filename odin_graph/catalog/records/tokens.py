"""Tokens of the HTTP server: shown once, when they are made, and stored as digests."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any, Final, Literal, get_args

from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

Scope = Literal["read", "write"]
_PREFIX: Final = "odin_"
_LONGEST: Final = 200
_MOST_DAYS: Final = 36_500
_ROWS: Final = (
    "MATCH (t:Token) RETURN t.id AS id, t.scope AS scope, t.created_at AS made, t.expires_at AS expires, "
    "t.digest AS digest ORDER BY t.id"
)


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret."""

    id: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None = None
    """In UTC; None for never."""

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


def create_token(stores: Stores, name: str, scope: Scope = "read", days: float | None = None) -> str:
    """Make a token. Its secret is returned, and cannot be read later.

    Args:
        stores: The open workspace.
        name: The owner or purpose of the token; unique.
        scope: ``read``, or ``write`` to allow changes of the workspace, too.
        days: Days until it expires; None for never.

    Raises:
        QueryError: The name, the scope or the time is invalid.
        ConflictError: There is a token of that name.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST:
        raise QueryError(f"The name of a token is a text of at most {_LONGEST} characters, not {name!r:.80}.")
    if scope not in get_args(Scope):
        raise UnknownNameError.of("scope", scope, get_args(Scope))
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= _MOST_DAYS):
        raise QueryError(f"A token is valid for more than 0 and at most {_MOST_DAYS:,} days, not {days!r}.")
    secret = _PREFIX + secrets.token_urlsafe(32)
    made = now()
    row = {"id": name, "digest": _digest(secret), "scope": scope, "created_at": made}
    if days is not None:
        row["expires_at"] = made + timedelta(days=days)

    def make(tx: Transaction) -> None:
        if tx.run("MATCH (t:Token {id: $id}) RETURN t.id AS id", {"id": name}):
            raise ConflictError(f"There is a token {name!r} already: revoke it first, or give this one another name.")
        tx.run("CREATE (t:Token) SET t = $row", {"row": row})

    stores.graph.execute(make)
    return secret


def tokens(stores: Stores) -> list[TokenRecord]:
    """Every token, by name."""
    return [_record(row) for row in stores.graph.read(_ROWS)]


def token_of(stores: Stores, secret: str) -> TokenRecord | None:
    """The token of a secret, even if it has expired; None if it is unknown or was revoked."""
    if not secret.startswith(_PREFIX) or len(secret) > _LONGEST:
        return None
    digest = _digest(secret)
    found = None
    # Compares with all tokens of one state of the graph: guesses cause no queries, and all take the same time.
    for row in stores.graph.moment().read(_ROWS):
        if compare_digest(str(row["digest"]), digest):
            found = _record(row)
    return found


def revoke_token(stores: Stores, name: str) -> None:
    """Revoke a token; it is refused from the next request on."""
    if name not in (known := [token.id for token in tokens(stores)]):
        raise UnknownNameError.of("token", name, known)
    stores.graph.write("MATCH (t:Token {id: $id}) DETACH DELETE t", {"id": name})


def _record(row: Mapping[str, Any]) -> TokenRecord:
    made, expires = (None if at is None else at.replace(tzinfo=UTC) for at in (row["made"], row["expires"]))
    assert made is not None
    return TokenRecord(row["id"], row["scope"], made, expires)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
