"""Errors as answers, in one shape and one place: ``{"error": {"type", "message", "drawing", "request_id"}}``."""

from __future__ import annotations

import logging
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


class NotThereError(errors.UnknownNameError):
    """Of the address that was asked for, not of the body."""


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


def install(app: FastAPI) -> None:
    """Have every error of a route answered so."""

    def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, errors.OdinError)
        status = status_of(error)
        if status >= 500:
            _log.error("request %s failed", _id(request), exc_info=error)
        drawing = "".join(getattr(error, "__notes__", ())) or None
        return problem(_id(request), status, type(error).__name__, str(error), drawing)

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
