"""The FastAPI application over one open workspace."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI

from odin_graph.server import problems
from odin_graph.server.access import reader
from odin_graph.server.bodies import Problem
from odin_graph.server.gate import Gate
from odin_graph.server.routes import cypher, health, images, query, similar, things
from odin_graph.server.settings import Settings
from odin_graph.workspace import Workspace

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why}
    for status, why in {
        400: "The request cannot be read.",
        401: "No token, or none of ours.",
        403: "What was asked for writes.",
        404: "There is nothing of that id.",
        408: "It takes longer than the server allows.",
        409: "The data have changed since the page before.",
        413: "The request is too large.",
        422: "The request makes no sense; says what and why.",
        429: "The server is busy: ask again.",
    }.items()
}


def create_app(workspace: Workspace, settings: Settings | None = None) -> FastAPI:
    """The API over a workspace that stays open for as long as it is served.

    Args:
        workspace: What is served.
        settings: Limits and switches.
    """
    allowed = settings or Settings()
    app = FastAPI(
        title="odin_graph",
        version=version("odin-graph"),
        summary="Queries over images, their lineage, what models said of them, and their vectors.",
        responses=_REFUSALS,
    )
    app.state.workspace, app.state.settings = workspace, allowed
    problems.install(app)
    app.include_router(health.router)
    routers = [query.router, similar.router, images.router, things.router]
    for router in [*routers, *([cypher.router] if allowed.cypher else [])]:
        app.include_router(router, prefix="/v1", dependencies=[Depends(reader)])
    app.add_middleware(Gate, settings=allowed)
    return app
