"""The FastAPI application over one open workspace."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import Depends
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from odin_graph.server import problems
from odin_graph.server.access import permitted
from odin_graph.server.answer_cache import AnswerCache
from odin_graph.server.authentication import Authenticator
from odin_graph.server.bodies import Problem
from odin_graph.server.gate import Gate
from odin_graph.server.routes import asked, cypher, files, health, images, lookups, query, similar, things
from odin_graph.server.settings import Settings
from odin_graph.stores import hidden_texts
from odin_graph.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

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
        415: "The request is compressed.",
        422: "The request is not valid; the message gives the reason.",
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
    app: FastAPI = FastAPIOffline(  # the pages that describe it load nothing from elsewhere
        title="odin_graph",
        version=version("odin-graph"),
        summary="Queries over images, their lineage, predictions and vectors.",
        responses=_REFUSALS,
    )
    app.state.workspace, app.state.settings = workspace, allowed
    app.state.answers = AnswerCache(workspace._stores)  # noqa: SLF001
    app.state.readiness = health.Readiness(workspace._stores)  # noqa: SLF001
    problems.install(app, hidden_texts(workspace._stores))  # noqa: SLF001
    app.include_router(health.router)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)  # who opens it in a browser
    routers = [query.router, lookups.router, similar.router, images.router, images.arrays]
    routers += [files.router, things.router, asked.router]
    for router in [*routers, cypher.router if allowed.cypher else cypher.closed]:
        app.include_router(router, prefix="/v1", dependencies=[Depends(permitted)])
    app.add_middleware(Gate, settings=allowed, authenticator=Authenticator(workspace._stores))  # noqa: SLF001
    return app
