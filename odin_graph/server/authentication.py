"""Checks the token of a request before anything else of it is read."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from anyio import CapacityLimiter, to_thread

from odin_graph.catalog.records.tokens import TokenRecord, token_of
from odin_graph.deadline import deadline
from odin_graph.errors import OdinError
from odin_graph.server.problems import RefusedError
from odin_graph.stores import Stores

_log = logging.getLogger(__name__)
_SECONDS: Final = 10.0
"""The time for the graph to find a token."""
_AT_ONCE: Final = 4
_WAITING: Final = 256


class Authenticator:
    """Finds the tokens of a workspace, and refuses everything else.

    It has a few threads of its own: an engine that hangs blocks neither routes nor the server's health.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._threads = CapacityLimiter(_AT_ONCE)
        self._waiting = 0

    async def token(self, header: bytes | None) -> TokenRecord:
        """The token of an Authorization header.

        Raises:
            RefusedError: 401, there is none, or it is none of ours, or it has expired; 429 or 503, nobody can tell now.
        """
        kind, _, secret = (header or b"").strip().partition(b" ")
        secret = secret.strip()
        if kind.lower() != b"bearer" or not secret.isascii():
            raise _refused()
        if self._waiting >= _WAITING:
            raise RefusedError(429, "The server is busy: ask again.", kind="BusyError", headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            async with asyncio.timeout(_SECONDS):
                found = await to_thread.run_sync(
                    self._look_up, secret.decode(), limiter=self._threads, abandon_on_cancel=True
                )
        except (TimeoutError, OdinError) as error:
            _log.error("Nobody can tell whose a token is", exc_info=error)
            raise RefusedError(
                503, "The graph engine does not say whose the token is: ask again.", kind="UnreachableError"
            ) from error
        finally:
            self._waiting -= 1
        if found is None:
            raise _refused()
        if found.expires_at is not None and found.expired:
            raise _refused(
                f"The token {found.id!r} expired on {found.expires_at:%Y-%m-%d at %H:%M} UTC: ask who runs the server "
                "for a new one."
            )
        return found

    def _look_up(self, secret: str) -> TokenRecord | None:
        with deadline(_SECONDS):
            return token_of(self._stores, secret)


def _refused(
    why: str = "Give a token, as in Authorization: Bearer odin_...; `odin token create` makes one.",
) -> RefusedError:
    return RefusedError(401, why, headers={"WWW-Authenticate": "Bearer"})
