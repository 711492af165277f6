"""Tokens of the HTTP server: made once, shown once, kept as digests."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

Scope = Literal["read", "write"]
_PREFIX: Final = "odin_"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret."""

    id: str
    scope: Scope
    created_at: datetime


def create_token(stores: Stores, name: str, scope: Scope = "read") -> str:
    """Make a token. Its secret is returned, and cannot be had again.

    Args:
        stores: The open workspace.
        name: Whose it is, or what for; unique.
        scope: ``read``, or ``write`` for what changes the workspace as well.

    Raises:
        QueryError: The name or the scope is none.
        ConflictError: There is a token of that name.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST:
        raise QueryError(f"The name of a token is a text of at most {_LONGEST} characters, not {name!r:.80}.")
    if scope not in get_args(Scope):
        raise UnknownNameError.of("scope", scope, get_args(Scope))
    secret = _PREFIX + secrets.token_urlsafe(32)
    row = {"id": name, "digest": _digest(secret), "scope": scope, "created_at": now()}

    def make(tx: Transaction) -> None:
        if tx.run("MATCH (t:Token {id: $id}) RETURN t.id AS id", {"id": name}):
            raise ConflictError(f"There is a token {name!r} already: revoke it first, or give this one another name.")
        tx.run("CREATE (t:Token) SET t = $row", {"row": row})

    stores.graph.execute(make)
    return secret


def tokens(stores: Stores) -> list[TokenRecord]:
    """Every token, by name."""
    rows = stores.graph.read("MATCH (t:Token) RETURN t.id AS id, t.scope AS scope, t.created_at AS at ORDER BY t.id")
    return [TokenRecord(row["id"], row["scope"], row["at"]) for row in rows]


def token_of(stores: Stores, secret: str) -> TokenRecord | None:
    """The token of a secret; None if it is none of ours, or was revoked."""
    if not secret.startswith(_PREFIX) or len(secret) > _LONGEST:
        return None
    # By its digest: what the look-up's time tells is of a digest, from which no secret can be made.
    rows = stores.graph.moment().read(
        "MATCH (t:Token {digest: $digest}) RETURN t.id AS id, t.scope AS scope, t.created_at AS at",
        {"digest": _digest(secret)},
    )
    return TokenRecord(rows[0]["id"], rows[0]["scope"], rows[0]["at"]) if rows else None


def revoke_token(stores: Stores, name: str) -> None:
    """Take a token away; from the next request on it is refused."""
    if name not in (known := [held.id for held in tokens(stores)]):
        raise UnknownNameError.of("token", name, known)
    stores.graph.write("MATCH (t:Token {id: $id}) DETACH DELETE t", {"id": name})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
