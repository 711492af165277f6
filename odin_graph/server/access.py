"""The dependencies of routes: the workspace, the settings, the cached answers, and the token."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from odin_graph.catalog.records.tokens import TokenRecord
from odin_graph.graph import forbid_writing
from odin_graph.server.answer_cache import AnswerCache
from odin_graph.server.settings import Settings
from odin_graph.workspace import Workspace

_bearer = HTTPBearer(auto_error=False, description="A token of `odin token create`.")


def workspace(request: Request) -> Workspace:
    """The workspace that is served."""
    open_workspace: Workspace = request.app.state.workspace
    return open_workspace


def settings(request: Request) -> Settings:
    """What the server allows."""
    limits: Settings = request.app.state.settings
    return limits


def answers(request: Request) -> AnswerCache:
    """The cache of the last answers."""
    cache: AnswerCache = request.app.state.answers
    return cache


AnswersDep = Annotated[AnswerCache, Depends(answers)]
WorkspaceDep = Annotated[Workspace, Depends(workspace)]
SettingsDep = Annotated[Settings, Depends(settings)]


class JsonRequest(Request):
    """A request whose JSON the gate has parsed."""

    async def json(self) -> Any:
        """The parsed body."""
        return self.scope["odin_json"]


class JsonRoute(APIRoute):
    """A route that takes the body that the gate has parsed, and reads none itself."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which gets a `JsonRequest`."""
        handle = super().get_route_handler()

        async def handle_parsed(request: Request) -> Response:
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_parsed


def reader(request: Request, allowed: SettingsDep, _: Annotated[Any, Security(_bearer)] = None) -> TokenRecord | None:
    """The token of the request, which the gate has looked up; None where none is asked for.

    Raises:
        HTTPException: 401, the gate has let it pass without one.
    """
    if not allowed.auth:
        return None
    token = request.scope.get("odin_token")
    if not isinstance(token, TokenRecord):
        raise HTTPException(401, "Give a token.", {"WWW-Authenticate": "Bearer"})
    return token


async def permitted(allowed: SettingsDep, token: Annotated[TokenRecord | None, Depends(reader)]) -> None:
    """Let a request write only where its token may. A coroutine, since what threads set does not reach the route."""
    if token is not None and token.scope != "write":
        forbid_writing()
    if allowed.trust_source:
        from odin_graph.runtime.models.trust import trust_everything  # loads torch, as the models do

        trust_everything()
