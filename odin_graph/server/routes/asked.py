"""``/v1/ask/{name}``: what the objects of `og.connect` ask: functions that are served, each of which only reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Annotated, Any, get_type_hints

import pyarrow as pa
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter, ValidationError

from odin_graph.client import travel
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.query.names.bind import bind_plan
from odin_graph.query.plan import wire
from odin_graph.query.plan.json_values import from_json
from odin_graph.query.plan.plan import Plan
from odin_graph.served import SERVED
from odin_graph.server.access import JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.answers import ARROW, arrow_stream, json_answer, warning_headers
from odin_graph.server.bodies import Answered, Asked, Json
from odin_graph.server.problems import NotThereError
from odin_graph.server.routes.query import check_cypher
from odin_graph.server.settings import Settings, within
from odin_graph.warned import collecting
from odin_graph.workspace import Workspace

router = APIRouter(tags=["objects"], route_class=JsonRoute)
_ROWS = 65_536
_ARROW_TOO: dict[int | str, dict[str, Any]] = {
    200: {"content": {ARROW: {}}, "description": "JSON, or an Arrow stream."}
}


@router.post("/ask/{name}", response_model=Answered, responses=_ARROW_TOO)
def ask(
    name: Annotated[str, Path(max_length=100, examples=["models.model_ids"])],
    body: Asked,
    db: WorkspaceDep,
    allowed: SettingsDep,
) -> Response:
    """What a function that is served gives: JSON, or an Arrow stream where that is a table."""
    if (function := SERVED.get(name)) is None:
        raise NotThereError(f"This odin_graph does not answer {name!r}: both sides are to be of one version.")
    seconds = within(allowed, body.timeout)
    with deadline(seconds), collecting() as found:
        arguments = arguments_in(db, allowed, function, body.arguments)
        answer = function(db._stores, **arguments)  # noqa: SLF001
        headers = warning_headers(found)
        if isinstance(answer, pa.Table):
            first, *rest = answer.to_batches(_ROWS) or [pa.RecordBatch.from_pylist([], answer.schema)]
            return StreamingResponse(arrow_stream(first, iter(rest), seconds), media_type=ARROW, headers=headers)
        response = json_answer({"answer": travel.to_json(answer, allowed.answer_bytes)})
        response.headers.update(headers)
        return response


def arguments_in(db: Workspace, allowed: Settings, function: Callable[..., Any], given: Json) -> Json:
    """The arguments of a request, each of the type that the function says.

    Raises:
        QueryError: One is missing, unknown, or of another type.
        ReadOnlyError: One is a query with Cypher, and the server answers none.
    """
    hints = _hints(function)
    if unknown := given.keys() - hints.keys():
        raise QueryError(f"There is no argument {min(unknown)!r}: there are {', '.join(hints) or 'none'}.")
    parameters = list(signature(function).parameters.values())[1:]
    if missing := [item.name for item in parameters if item.default is item.empty and item.name not in given]:
        raise QueryError(f"The argument {missing[0]!r} is missing.")
    return {name: _argument(db, allowed, name, hints[name], value) for name, value in given.items()}


def _argument(db: Workspace, allowed: Settings, name: str, hint: Any, value: Any) -> Any:
    if hint == Plan | None and value is None:
        return None
    if hint in (Plan, Plan | None):
        plan = wire.from_json(value)
        check_cypher(allowed, plan)
        return bind_plan(db._stores, plan)  # noqa: SLF001
    if hint == dict[str, Any]:
        return from_json(value) if isinstance(value, dict) else _adapter(hint).validate_python(value)
    try:
        return _adapter(hint).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise QueryError(f"The argument {name!r} does not fit: {error.errors(include_url=False)[0]['msg']}.") from error


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of all arguments but the first, the open stores."""
    hints = get_type_hints(function, include_extras=True)
    return {name: hints[name] for name in list(signature(function).parameters)[1:]}


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)
