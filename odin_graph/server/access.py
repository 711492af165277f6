"""Who asks, and what of: the dependencies of routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from odin_graph.catalog.tokens import TokenRecord, token_of
from odin_graph.graph import forbid_writing
from odin_graph.server.held import HeldAnswers
from odin_graph.server.settings import Settings
from odin_graph.workspace import Workspace

_bearer = HTTPBearer(auto_error=False, description="A token of `odin token create`.")


def workspace(request: Request) -> Workspace:
    """The workspace that is served."""
    held: Workspace = request.app.state.workspace
    return held


def settings(request: Request) -> Settings:
    """What the server allows."""
    held: Settings = request.app.state.settings
    return held


def answers(request: Request) -> HeldAnswers:
    """The last answers that were given."""
    held: HeldAnswers = request.app.state.answers
    return held


AnswersDep = Annotated[HeldAnswers, Depends(answers)]
WorkspaceDep = Annotated[Workspace, Depends(workspace)]
SettingsDep = Annotated[Settings, Depends(settings)]


def reader(
    db: WorkspaceDep,
    allowed: SettingsDep,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
) -> TokenRecord | None:
    """The token of the request; None where none is asked for.

    Raises:
        HTTPException: 401, there is none, or it is none of ours.
    """
    if not allowed.auth:
        return None
    token = token_of(db._stores, given.credentials) if given is not None else None  # noqa: SLF001
    if token is None:
        raise HTTPException(
            401,
            "Give a token, as in Authorization: Bearer odin_...; `odin token create` makes one.",
            {"WWW-Authenticate": "Bearer"},
        )
    return token


async def permitted(token: Annotated[TokenRecord | None, Depends(reader)]) -> None:
    """Let a request write only where its token may. A coroutine, since what threads set does not reach the route."""
    if token is not None and token.scope != "write":
        forbid_writing()
