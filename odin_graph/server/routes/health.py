"""Whether the server lives, and whether it can answer."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Depends

from odin_graph.server.access import WorkspaceDep, reader
from odin_graph.server.bodies import Json

router = APIRouter(tags=["health"])


@router.get("/health")
def health() -> Json:
    """The process answers. Asks nothing of the engines."""
    return {"status": "ok", "version": version("odin-graph")}


@router.get("/ready", dependencies=[Depends(reader)])
def ready(db: WorkspaceDep) -> Json:
    """The graph answers; 503 where it does not."""
    db._stores.graph.verify()  # noqa: SLF001
    return {"status": "ready", "images": len(db.images())}
