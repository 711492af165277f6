"""Limits on connections that uvicorn does not have: on headers, waiting and reading."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import Any, ClassVar, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from odin_graph.server.headers import SECURITY
from odin_graph.server.settings import Settings

_READ: Final = 64 << 10
"""Bytes that are read from a connection at once."""
_HEADERS: Final = 100
"""Of a request."""
_PIPELINED: Final = 8
"""Requests that may be sent ahead of the answer to the first."""


def config_of(app: ASGIApp, settings: Settings, **how: Any) -> uvicorn.Config:
    """The configuration of uvicorn for the application and its limits.

    Args:
        app: The application.
        settings: Its limits.
        how: More for uvicorn: certificates, port.
    """
    protocol = type("Connection", (Connection,), {"settings": settings, "waiting": OrderedDict()})
    defaults = {
        "http": protocol,
        "loop": "asyncio",
        "ws": "none",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_level": "error",
        "timeout_keep_alive": 15,
        "timeout_graceful_shutdown": 10,
    }
    return uvicorn.Config(app, **{**defaults, **how})


class Connection(HttpToolsProtocol):
    """One connection, with a time and a size for everything that its client may do slowly or without end."""

    settings: ClassVar[Settings]
    waiting: ClassVar[OrderedDict[Connection, None]]
    """All connections of a server that wait for their client, the longest waiting first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it, and begin to wait for a request."""
        transport.max_size = _READ  # type: ignore[attr-defined]  # of asyncio's own; 256 KiB otherwise
        super().connection_made(_Ending(transport, self))  # type: ignore[arg-type]
        self._real = transport
        self._received = 0  # of this request
        self._in_request = self._ending = False
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.waiting[self] = None
        self._abort_after(self.settings.head_seconds)
        if len(self.connections) > self.settings.connections:
            next(iter(self.waiting)).abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._cancel(self._timer, self._stalled)
        self._timer = self._stalled = None
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is more than may come."""
        self._received += len(data)
        if self._received > self.settings.body_bytes * 1.25 + self.settings.head_bytes:
            self._real.abort()
        elif self._ending or self._real.is_closing():
            return  # what comes after the answer is not looked at
        elif not self._in_request and self._received > self.settings.head_bytes + _READ:
            self.send_400_response("The request's headers are too long.")
        else:
            if not self._in_request and self._timer is None:
                self._abort_after(self.settings.head_seconds)
            super().data_received(data)
            if not self._in_request and self._received > self.settings.head_bytes:
                self.send_400_response("The request's headers are too long.")

    def eof_received(self) -> None:
        """The client sends no more; its request is answered."""
        if self._ending:
            self._real.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the headers of a request."""
        if len(self.headers) >= _HEADERS:
            raise ValueError("headers")  # the parser's caller answers 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= _PIPELINED:
            raise ValueError("pipelined")  # the parser's caller answers 400
        self._in_request = True
        self.waiting.pop(self, None)
        self._cancel(self._timer)
        self._timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of a request has come; the next one is counted anew."""
        self._in_request = False
        self._received = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is on its way."""
        if not self.pipeline:
            self.waiting[self] = None
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.settings.write_seconds, self._real.abort)

    def resume_writing(self) -> None:
        """The client has taken some of it."""
        self._cancel(self._stalled)
        self._stalled = None
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops: close idle connections, and finish the current answer of the others."""
        if self.cycle is None or self.cycle.response_complete:
            self._real.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer 400, once, with the headers of every answer."""
        if self.ending:  # the parser has answered already
            return
        error = {"type": "RequestError", "message": msg, "drawing": None, "request_id": ""}
        body = json.dumps({"error": error}).encode()
        lines = [b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close"]
        lines += [name + b": " + value for name, value in SECURITY]
        lines.append(b"content-length: " + str(len(body)).encode())
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.transport.close()

    def abort(self) -> None:
        """Close it at once, for another one."""
        self._real.abort()

    def end(self) -> None:
        """Close it, so that a client that still sends can read the answer: closing at once would reset the line."""
        if self._ending or self._real.is_closing():
            return
        if not self._in_request and not self._received:
            self._real.close()
            return
        self._ending = True
        self.waiting[self] = None
        if self._real.can_write_eof():
            self._real.write_eof()
        self._real.resume_reading()
        self._abort_after(self.settings.body_seconds)

    @property
    def ending(self) -> bool:
        """Whether its last answer is on its way."""
        return self._ending or self._real.is_closing()

    def _abort_after(self, seconds: float) -> None:
        self._cancel(self._timer)
        self._timer = self.loop.call_later(seconds, self._real.abort)

    @staticmethod
    def _cancel(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()


class _Ending:
    """The transport that uvicorn gets: when it closes this after its answer, `Connection.end` decides how."""

    def __init__(self, real: asyncio.Transport, connection: Connection) -> None:
        self._real = real
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def close(self) -> None:
        self._connection.end()

    def is_closing(self) -> bool:
        return self._connection.ending

    def resume_reading(self) -> None:
        if not self._real.is_closing():
            self._real.resume_reading()
