"""``/v1/query``: any query in its JSON form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse

from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.objects.groups import Groups
from odin_graph.objects.query import Query
from odin_graph.objects.things import ThingQuery
from odin_graph.objects.views import AnyQuery, query_of
from odin_graph.server.access import SettingsDep, WorkspaceDep
from odin_graph.server.answers import ARROW, arrow_stream, read_cursor, rows_of, write_cursor
from odin_graph.server.bodies import Checked, Count, Explained, Page, QueryRequest, QueryText
from odin_graph.workspace import Workspace

router = APIRouter(tags=["queries"])

_ARROW_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW: {}}, "description": "JSON, or an Arrow stream."}
}


@router.post("/query", response_model=Page, responses=_ARROW_TOO)
def run_query(body: QueryRequest, db: WorkspaceDep, allowed: SettingsDep, accept: Annotated[str, Header()] = "") -> Any:
    """Run a query. JSON comes in pages; with `Accept: application/vnd.apache.arrow.stream` all comes as Arrow."""
    with deadline(allowed.seconds):
        query = query_in(db, body.query)
        if ARROW in accept:
            return StreamingResponse(arrow_stream(_batches(query, body.columns), allowed.seconds), media_type=ARROW)
        state = str(db._stores.graph.change_token())  # noqa: SLF001
        start = read_cursor(body.cursor, body.query, state)
        limit = min(body.limit, allowed.rows)
        total = len(query)
        rows = rows_of(_table(query[start : start + limit], body.columns))
        more = start + len(rows) < total and len(rows) > 0
        return Page(rows=rows, total=total, cursor=write_cursor(body.query, state, start + limit) if more else None)


@router.post("/query/count")
def count_query(body: QueryText, db: WorkspaceDep, allowed: SettingsDep) -> Count:
    """How many rows a query gives."""
    with deadline(allowed.seconds):
        return Count(count=query_in(db, body.query).count())


@router.post("/query/check")
def check_query(body: QueryText, db: WorkspaceDep) -> Checked:
    """Look up every name of a query: the same query, saying exactly what it reads. What a builder far away asks."""
    return Checked(query=query_in(db, body.query).to_json())


@router.post("/query/explain")
def explain_query(body: QueryText, db: WorkspaceDep, allowed: SettingsDep) -> Explained:
    """What would run, on which engine, and why; with actual rows and times if it is run."""
    with deadline(allowed.seconds):
        found = query_in(db, body.query).explain(run=body.run)
        return Explained(parts=found.to_json(), text=str(found))


def query_in(db: Workspace, said: dict[str, Any]) -> Query | ThingQuery[Any] | Groups:
    """The query of a body.

    Raises:
        QueryError: It is none, or has operations, which give pixels and no rows.
    """
    found: AnyQuery = query_of(db._stores, said)  # noqa: SLF001
    if not isinstance(found, Query | ThingQuery | Groups):
        raise QueryError("The query has operations, which give pixels: ask for its images without them.")
    return found


def _table(query: Query | ThingQuery[Any] | Groups, columns: list[str] | None) -> pa.Table:
    return query.to_arrow() if isinstance(query, Groups) else query.to_arrow(*(columns or ()))


def _batches(query: Query | ThingQuery[Any] | Groups, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    if isinstance(query, Query):
        yield from query.to_batches(*(columns or ()))
        return
    table = _table(query, columns)
    yield from table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
