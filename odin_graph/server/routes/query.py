"""``/v1/query``: any query in its JSON form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, ReadOnlyError
from odin_graph.objects.collections.views import AnyQuery, query_of
from odin_graph.objects.query.groups import Groups
from odin_graph.objects.query.query import Query
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.executor import LocalExecutor
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan import wire
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.json_values import to_json
from odin_graph.query.plan.plan import Cypher, Plan
from odin_graph.server.access import AnswersDep, JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.answers import (
    ARROW,
    arrow_stream,
    page_answer,
    page_of,
    read_cursor,
    warning_headers,
    write_cursor,
)
from odin_graph.server.bodies import Checked, Count, CypherText, Explained, Json, Page, QueryRequest, QueryText
from odin_graph.server.settings import Settings, within
from odin_graph.warned import collecting
from odin_graph.workspace import Workspace

router = APIRouter(tags=["queries"], route_class=JsonRoute)

_ARROW_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW: {}}, "description": "JSON, or an Arrow stream."}
}


@router.post("/query", response_model=Page, responses=_ARROW_TOO)
def run_query(
    body: QueryRequest,
    db: WorkspaceDep,
    allowed: SettingsDep,
    answers: AnswersDep,
    accept: Annotated[str, Header()] = "",
) -> Any:
    """Run a query. JSON comes in pages; with `Accept: application/vnd.apache.arrow.stream` all comes as Arrow."""
    seconds = within(allowed, body.timeout)
    with deadline(seconds), collecting() as found:
        plan = query_in(db, allowed, body.query).plan
        executor = answers.executor(plan)
        if ARROW in accept:
            batches = _batches(executor, plan, body.columns, body.batch)
            first = next(batches)  # before the answer begins: what goes wrong until then has a status
            return StreamingResponse(
                arrow_stream(first, batches, seconds), media_type=ARROW, headers=warning_headers(found)
            )
        state = str(db._stores.graph.change_token())  # noqa: SLF001
        start = read_cursor(body.cursor, body.query, state)
        limit = min(body.limit, allowed.rows)
        rows = page_of(next(_batches(executor, plan, body.columns, limit, start)), allowed.page_bytes)
        total = executor.count(plan)
        end = start + len(rows)
        cursor = write_cursor(body.query, state, end) if rows and end < total else None
        return page_answer(rows, total, cursor, warning_headers(found))


@router.post("/query/count")
def count_query(
    body: QueryText, db: WorkspaceDep, allowed: SettingsDep, answers: AnswersDep, response: Response
) -> Count:
    """How many rows a query gives."""
    with deadline(within(allowed, body.timeout)), collecting() as found:
        plan = query_in(db, allowed, body.query).plan
        count = Count(count=answers.executor(plan).count(plan))
        response.headers.update(warning_headers(found))
        return count


@router.post("/query/check")
def check_query(body: QueryText, db: WorkspaceDep, allowed: SettingsDep) -> Checked:
    """Look up every name of a query: the same query, saying exactly what it reads. What a builder far away asks."""
    with deadline(within(allowed, body.timeout)):
        return Checked(query=query_in(db, allowed, body.query).to_json())


@router.post("/query/explain")
def explain_query(body: QueryText, db: WorkspaceDep, allowed: SettingsDep) -> Explained:
    """What would run, on which engine, and why; with actual rows and times if it is run."""
    with deadline(within(allowed, body.timeout)):
        found = query_in(db, allowed, body.query).explain(run=body.run)
        return Explained(parts=found.to_json(), text=str(found))


@router.post("/query/cypher")
def to_cypher(body: QueryText, db: WorkspaceDep, allowed: SettingsDep) -> CypherText:
    """The query as one Cypher statement, where all of it is in the graph. Nothing runs."""
    with deadline(within(allowed, body.timeout)):
        found = query_in(db, allowed, body.query).to_cypher()
        return CypherText(text=found.text, parameters=to_json(found.parameters))


def query_in(db: Workspace, allowed: Settings, data: Json) -> Query | ThingQuery[Any] | Groups:
    """The query of a body.

    Raises:
        QueryError: It is none, or has operations, which give pixels and no rows.
        ReadOnlyError: It holds Cypher, and the server answers none.
    """
    if "operations" not in data:
        check_cypher(allowed, wire.from_json(data))
    found: AnyQuery = query_of(db._session, data)  # noqa: SLF001
    if not isinstance(found, Query | ThingQuery | Groups):
        raise QueryError("The query has operations, which give pixels: ask for its images without them.")
    return found


def check_cypher(allowed: Settings, plan: Plan) -> None:
    """Refuse a plan that runs Cypher where the server answers none.

    Raises:
        ReadOnlyError: The plan runs Cypher, and the server answers none.
    """
    if not allowed.cypher and _has_cypher(plan):
        raise ReadOnlyError(
            "The query begins with Cypher, which this server does not answer: `odin serve --cypher` does."
        )


def _has_cypher(plan: Plan) -> bool:
    inside = (step.inner for step in plan.steps if step.inner is not None)
    return isinstance(plan.source, Cypher) or any(map(_has_cypher, inside))


def _batches(
    executor: LocalExecutor, plan: Plan, columns: list[str | Json] | None, rows: int, first: int = 0
) -> Iterator[pa.RecordBatch]:
    if columns == []:
        yield from executor.execute(plan, rows, first)
        return
    wanted = tuple(_column(column) for column in columns or ())
    yield from executor.columns(plan, wanted, rows, first)


def _column(column: str | Json) -> Column:
    return Column(column, F(column).node) if isinstance(column, str) else wire.column_from_json(column)
