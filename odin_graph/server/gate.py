"""What every request passes before its route: the check of its token, the limits, and the parsing of its body."""

from __future__ import annotations

import asyncio
import gc
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from odin_graph.server.authentication import Authenticator
from odin_graph.server.headers import headers_for
from odin_graph.server.ids import unquoted
from odin_graph.server.parsing import json_in
from odin_graph.server.problems import RefusedError, problem
from odin_graph.server.settings import Settings

GUARDED: Final = "/v1/"
"""Paths that need a token. All others are public."""
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_LARGE: Final = 256 << 10
"""Bytes of a body above which it is read and answered alone, without another large one."""
_PIECE: Final = 64 << 10
"""Bytes of an answer that are handed on at once: the next ones wait until the client has taken some."""


class Gate:
    """Middleware around all routes.

    Args:
        app: What answers.
        settings: The limits.
        authenticator: Checks tokens.
    """

    def __init__(self, app: ASGIApp, settings: Settings, authenticator: Authenticator) -> None:
        self._app = app
        self._settings = settings
        self._authenticator = authenticator
        self._inside = 0
        self._answering = asyncio.Semaphore(settings.answering)
        self._pixels = asyncio.Semaphore(settings.pixels)
        self._large = asyncio.Semaphore(1)
        self._parsing = CapacityLimiter(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        sent_id = headers.get(b"x-request-id", b"")
        request_id = sent_id.decode() if _ID.fullmatch(sent_id) else uuid.uuid4().hex
        scope["odin_request_id"] = request_id
        send = _complete(send, request_id, scope["path"])
        try:
            scope["path"] = _path(scope)
            if not scope["path"].startswith(GUARDED):
                await self._app(scope, _Rest(receive, b""), send)
                return
            if self._settings.auth:
                scope["odin_token"] = await self._authenticator.token(headers.get(b"authorization"))
            async with self._place(), AsyncExitStack() as stack:
                scope["odin_json"] = await self._read_json(headers, receive, stack)
                if scope["path"].endswith("/pixels"):  # of which one may be larger than all other answers
                    await stack.enter_async_context(_within(self._pixels, self._settings.seconds))
                await stack.enter_async_context(_within(self._answering, self._settings.seconds))
                # `JsonRequest` has the parsed body; of this one FastAPI only checks that it is not empty.
                await self._app(scope, _Rest(receive, b"{}"), send)
                scope["odin_json"] = None
        except RefusedError as why:
            answer: Response = problem(request_id, why.status, why.kind, str(why), **why.headers, Connection="close")
            await answer(scope, receive, send)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._inside >= self._settings.concurrency:
            raise _busy()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _read_json(self, headers: dict[bytes, bytes], receive: Receive, stack: AsyncExitStack) -> Any:
        """The JSON of a request; None where it has no body, or another one."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                await self._read(body, headers, receive, stack)
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if not body or not (kind == b"application/json" or kind.endswith(b"+json")):
                return None
            return await to_thread.run_sync(json_in, body, self._settings, limiter=self._parsing)
        except TimeoutError as error:
            raise RefusedError(
                408, f"The request did not come in within {self._settings.body_seconds:g} seconds."
            ) from error
        finally:
            body.clear()  # an error's frames may keep it until the garbage collector runs

    async def _read(
        self, body: bytearray, headers: dict[bytes, bytes], receive: Receive, stack: AsyncExitStack
    ) -> None:
        most = self._settings.body_bytes
        too_large = RefusedError(413, f"A request has at most {most:,} bytes.")
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise RefusedError(415, "A request's body is not compressed: send it as it is.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15 or int(length) > most:
            raise too_large
        alone = False
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "The client closed the connection.")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > most:
                raise too_large
            if len(body) > _LARGE and not alone:
                alone = True
                await stack.enter_async_context(_within(self._large, self._settings.body_seconds))
                stack.callback(gc.collect)  # what was made of it may be in reference cycles, as errors are


@asynccontextmanager
async def _within(places: asyncio.Semaphore, seconds: float) -> AsyncIterator[None]:
    """Wait at most so long for a place, and keep it in the block."""
    try:
        async with asyncio.timeout(seconds):
            await places.acquire()
    except TimeoutError as error:
        raise _busy() from error
    try:
        yield
    finally:
        places.release()


def _busy() -> RefusedError:
    return RefusedError(
        429, "The server answers as many as it may: ask again.", kind="BusyError", headers={"Retry-After": "1"}
    )


def _path(scope: Scope) -> str:
    """The path as it was sent: encoded characters belong to an id, also a slash.

    Raises:
        RefusedError: It is no text.
    """
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return str(scope["path"])
    try:
        path = raw.partition(b"?")[0].decode("ascii")
        unquoted(path)
    except ValueError as error:
        raise RefusedError(400, "The address is not text in UTF-8.") from error
    return path


class _Rest:
    """Replaces `receive`, whose body was read already or is not wanted; after the body, only a disconnect follows.

    A second call waits for it: an answer that watches for a disconnect would otherwise block the event loop.
    """

    def __init__(self, receive: Receive, body: bytes) -> None:
        self._receive = receive
        self._body: bytes | None = body

    async def __call__(self) -> Message:
        if self._body is None:
            while (message := await self._receive())["type"] != "http.disconnect":
                pass
            return message
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _complete(send: Send, request_id: str, path: str) -> Send:
    """Send an answer with the headers of every answer, and in pieces."""
    ours = [(b"x-request-id", request_id.encode()), *headers_for(path)]
    names = {name for name, _ in ours}

    async def send_complete(message: Message) -> None:
        if message["type"] == "http.response.start":
            theirs = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
            message = {**message, "headers": [*theirs, *ours]}
        body = message.get("body", b"")
        if len(body) <= _PIECE:
            await send(message)
            return
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            more = message.get("more_body", False) or start + _PIECE < len(body)
            await send({"type": "http.response.body", "body": bytes(view[start : start + _PIECE]), "more_body": more})

    return send_complete
