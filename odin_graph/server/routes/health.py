"""Whether the server lives, and whether it can answer."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request

from odin_graph.deadline import deadline
from odin_graph.errors import UnreachableError
from odin_graph.server.bodies import Json
from odin_graph.stores import Stores

router = APIRouter(tags=["health"])

_SECONDS: Final = 5.0
"""The time for the graph to answer."""
_AGAIN: Final = 1.0
"""Seconds for which its answer is reused: more frequent requests do not reach the engine."""


class Readiness:
    """Asks the engine for a sign of life, at most once a second, and one thread at a time."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._turn = asyncio.Lock()
        self._thread = CapacityLimiter(1)
        self._asked = float("-inf")
        self._ready = False

    async def __call__(self) -> bool:
        """Whether it answers in time."""
        async with self._turn:
            if time.monotonic() - self._asked >= _AGAIN:
                try:
                    async with asyncio.timeout(_SECONDS):
                        await to_thread.run_sync(self._verify, limiter=self._thread, abandon_on_cancel=True)
                    self._ready = True
                except (TimeoutError, UnreachableError):
                    self._ready = False
                self._asked = time.monotonic()
            return self._ready

    def _verify(self) -> None:
        with deadline(_SECONDS):
            self._stores.graph.verify()


@router.get("/health")
async def health() -> Json:
    """The process answers. Asks nothing of the engines."""
    return {"status": "ok", "version": version("odin-graph")}


@router.get("/ready")
async def ready(request: Request) -> Json:
    """The graph answers; 503 where it does not. Tells nothing else, and asks for no token."""
    readiness: Readiness = request.app.state.readiness
    if not await readiness():
        raise UnreachableError("The graph engine does not answer.")
    return {"status": "ready"}
