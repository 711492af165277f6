"""``POST /v1/cypher``: a statement that reads, where the server allows it."""

from __future__ import annotations

from fastapi import APIRouter

from odin_graph.deadline import deadline
from odin_graph.server.access import SettingsDep, WorkspaceDep
from odin_graph.server.answers import plain
from odin_graph.server.bodies import Answer, CypherRequest
from odin_graph.server.settings import within

router = APIRouter(tags=["queries"])


@router.post("/cypher")
def run_cypher(body: CypherRequest, db: WorkspaceDep, allowed: SettingsDep) -> Answer:
    """Run Cypher that reads; the engine itself refuses what writes. Values are parameters, never in the text."""
    with deadline(within(allowed, body.timeout)):
        rows = db._stores.graph.user_read(body.statement, body.parameters)  # noqa: SLF001 - a parameter may be named timeout
    return Answer(rows=[plain(dict(row)) for row in rows])
