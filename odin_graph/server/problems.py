"""Errors as answers, in one shape and one place: ``{"error": {"type", "message", "drawing", "request_id"}}``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from odin_graph import errors

_log = logging.getLogger(__name__)

STATUSES: Final[tuple[tuple[type[errors.OdinError], int], ...]] = (
    (errors.TimeLimitError, 408),
    (errors.ReadOnlyError, 403),
    (errors.QueryError, 422),
    (errors.ShapeError, 422),
    (errors.DataError, 422),
    (errors.ConflictError, 409),
    (errors.ModelError, 422),
    (errors.MissingExtraError, 501),
    (errors.EngineError, 503),
)
"""The first that fits; anything else of ours is 500."""


class RefusedError(Exception):
    """A request that reaches no route."""

    def __init__(
        self, status: int, message: str, *, kind: str = "RequestError", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})


class NotThereError(errors.UnknownNameError):
    """An unknown name in the path, not in the body."""


def status_of(error: errors.OdinError) -> int:
    """The HTTP status of one of our errors."""
    if isinstance(error, NotThereError):
        return 404
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def problem(
    request_id: str, status: int, kind: str, message: str, drawing: str | None = None, **headers: str
) -> JSONResponse:
    """An error as an answer."""
    body = {"error": {"type": kind, "message": message, "drawing": drawing, "request_id": request_id}}
    return JSONResponse(body, status, headers={"X-Request-ID": request_id, **headers})


def message_of(error: errors.OdinError, status: int, secrets: Sequence[str]) -> str:
    """The message for a client: what they can do, and nothing about the machine."""
    if status == 503:
        return (
            "The graph engine of the server does not answer, or failed: ask again, or ask who runs the server, whose "
            "log has the request under its id."
        )
    if status == 500:
        return "The server cannot do that now: ask the people who run it. Its log has the request under its id."
    message = str(error)
    if isinstance(error, errors.TrustError):
        from odin_graph.runtime.models.trust import REMEDY  # it is loaded, with torch, which nothing else here needs

        message = message.partition(REMEDY)[0] + (
            " Ask the people who run the server: with `odin serve --trust-source` it runs such models, if they trust "
            "the people who wrote the workspace."
        )
    for secret in secrets:
        message = message.replace(secret, "...")
    return message


def install(app: FastAPI, secrets: Sequence[str]) -> None:
    """Answer every error of a route in this form, without the secrets."""

    def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, errors.OdinError)
        status = status_of(error)
        if status >= 500:
            _log.error("request %s failed", _id(request), exc_info=error)
        drawing = "".join(getattr(error, "__notes__", ())) or None
        return problem(_id(request), status, type(error).__name__, message_of(error, status, secrets), drawing)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first: Any = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        # Not what was sent: it may be large, or nothing that JSON can hold.
        return problem(_id(request), 422, "RequestError", f"{place}: {first['msg']}.")

    def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = {name: str(value) for name, value in (error.headers or {}).items()}
        return problem(_id(request), error.status_code, "RequestError", str(error.detail), **headers)

    def unforeseen(request: Request, error: Exception) -> JSONResponse:
        _log.error("request %s failed", _id(request), exc_info=error)
        return problem(_id(request), 500, "ServerError", "The server failed; its log says why, under the request's id.")

    app.add_exception_handler(errors.OdinError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def _id(request: Request) -> str:
    return str(request.scope.get("odin_request_id", ""))
