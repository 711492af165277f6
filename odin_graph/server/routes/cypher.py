"""``POST /v1/cypher``: a statement that reads, where the server allows it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from odin_graph.deadline import deadline
from odin_graph.query.plan.json_values import from_json, to_json
from odin_graph.server.access import JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.answers import json_answer
from odin_graph.server.bodies import Answer, CypherRequest
from odin_graph.server.problems import RefusedError
from odin_graph.server.settings import within

router = APIRouter(tags=["queries"], route_class=JsonRoute)
closed = APIRouter(include_in_schema=False)
"""Instead, where the server does not allow it."""


@router.post("/cypher", response_model=Answer)
def run_cypher(body: CypherRequest, db: WorkspaceDep, allowed: SettingsDep) -> Response:
    """Run Cypher that reads; the engine itself refuses what writes. Values are parameters, never in the text."""
    with deadline(within(allowed, body.timeout)):
        given = from_json(body.parameters)  # a parameter may be named timeout
        rows = db._stores.graph.user_read(body.statement, given, most=allowed.rows)  # noqa: SLF001
        return json_answer({"rows": [to_json(dict(row)) for row in rows]})


@closed.post("/cypher")
def refuse_cypher() -> None:
    """Say how it would be allowed."""
    raise RefusedError(
        404, "This server does not answer Cypher: start it with `odin serve --cypher`.", kind="ReadOnlyError"
    )
