"""What every request passes before any route: an id, a place among those that are answered, a body of a sane size."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from odin_graph.server.problems import problem
from odin_graph.server.settings import Settings

_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


class RefusedError(Exception):
    """A request that reaches no route."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Gate:
    """Middleware around all routes.

    Args:
        app: What answers.
        settings: The limits.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _ID.fullmatch(given) else uuid.uuid4().hex
        scope["odin_request_id"] = request_id
        if self._inside >= self._settings.concurrency:
            busy = problem(
                request_id, 429, "BusyError", "The server answers as many as it may: ask again.", **{"Retry-After": "1"}
            )
            await busy(scope, receive, send)
            return
        self._inside += 1
        try:
            body = await self._body(headers, receive)
        except RefusedError as why:
            answer = problem(request_id, why.status, "RequestError", str(why), Connection="close")
            await answer(scope, receive, send)
            return
        else:
            await self._app(scope, _replayed(body, receive), _with_id(send, request_id))
        finally:
            self._inside -= 1

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        most = self._settings.body_bytes
        too_large = RefusedError(413, f"A request has at most {most:,} bytes.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            raise too_large
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "The client went away.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body", False):
                        break
        except TimeoutError as error:
            raise RefusedError(
                408, f"The request did not come in within {self._settings.body_seconds:g} seconds."
            ) from error
        body = b"".join(parts)
        if b"json" in headers.get(b"content-type", b"json"):
            _check_depth(body, self._settings.depth)
        return body


def _check_depth(body: bytes, most: int) -> None:
    """Nested brackets are read, checked and printed by functions that call themselves."""
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            raise RefusedError(422, f"The JSON is nested deeper than {most} brackets.")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then what comes after it: that the client has gone."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_id(send: Send, request_id: str) -> Send:
    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            held = [pair for pair in message["headers"] if pair[0].lower() != b"x-request-id"]
            message["headers"] = [*held, (b"x-request-id", request_id.encode())]
        await send(message)

    return named
