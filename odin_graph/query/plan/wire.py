"""The JSON form of a plan: what the HTTP API takes, what a saved view and a derived data set keep.

It has a version of its own. An older version is read for as long as it can be, a newer one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from odin_graph.errors import QueryError
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import Plan

VERSION = 5

T = TypeVar("T")


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as a JSON object: plain dicts, lists, strings, numbers and truth values."""
    try:
        return {"odin_query": VERSION, **_adapter().dump_python(plan, mode="json")}
    except (ValueError, RecursionError) as error:
        raise QueryError(f"The query has no JSON form: it is nested too deeply ({error}).") from error


def from_json(data: Any) -> Plan:
    """The plan of a JSON object, equal to the one that was written.

    Raises:
        QueryError: It is no plan, or one of a newer odin_graph; names the place.
    """
    if not isinstance(data, dict) or "odin_query" not in data:
        raise QueryError('This is not a query: a query is a JSON object with "odin_query", "source" and "steps".')
    version = data["odin_query"]
    if version not in range(1, VERSION + 1) or isinstance(version, bool):
        raise QueryError(f"The query has version {version!r}, and this odin_graph reads {VERSION}: upgrade odin_graph.")
    body = {name: value for name, value in data.items() if name != "odin_query"}
    if version == 1:
        body = _of_version_1(body)
    if version <= 2:
        body = _of_version_2(body)
    if version <= 4:
        body = _of_version_4(body)
    return _read(_adapter(), body)


def column_to_json(column: Column) -> dict[str, Any]:
    """A named expression as a JSON object; it has the version of the query that it goes with."""
    result: dict[str, Any] = _column_adapter().dump_python(column, mode="json")
    return result


def column_from_json(data: Any) -> Column:
    """The named expression of a JSON object; raises as `from_json` does."""
    return _read(_column_adapter(), data)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the JSON form; it does not say which types fit together."""
    plan = _adapter().json_schema(ref_template="#/$defs/{model}")
    shared = plan.pop("$defs")
    body = shared.pop("Plan") if "properties" not in plan else plan
    whole = {
        **body,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A query of odin_graph",
        "description": "What Query.to_json() gives and Query.from_json() takes.",
        "properties": {"odin_query": {"const": VERSION}, **body["properties"]},
        "required": ["odin_query", *body["required"]],
    }
    # A plan inside another one has no version: the other side of a set operation.
    return {**whole, "$defs": {**shared, "Plan": body}}


def _of_version_1(part: Any) -> Any:
    """Version 1 had a node of its own for the three tests of text, which are functions now."""
    if isinstance(part, list):
        return [_of_version_1(item) for item in part]
    if not isinstance(part, dict):
        return part
    converted = {name: _of_version_1(value) for name, value in part.items()}
    if converted.get("node") != "text" or converted.keys() != {"node", "op", "operand", "pattern"}:
        return converted
    pattern = {"node": "value", "type": "string", "value": converted["pattern"]}
    return {
        "node": "call",
        "function": str(converted["op"]).replace("_", "-"),
        "operands": [converted["operand"], pattern],
    }


def _of_version_2(part: Any) -> Any:
    """Version 2 had a single image or vector as the example of a search."""
    if isinstance(part, list):
        return [_of_version_2(item) for item in part]
    if not isinstance(part, dict):
        return part
    converted = {name: _of_version_2(value) for name, value in part.items()}
    if converted.get("step") != "nearest" or "like" in converted:
        return converted
    example = {name: converted.pop(name, None) for name in ("image", "vector")}
    return {**converted, "like": [example]}


_RENAMED: Final = {"group-by": {"by": "keys"}, "distinct": {"by": "keys"}, "sample": {"n": "k"}}
"""By step, its names up to version 4, and those of today."""


def _of_version_4(part: Any) -> Any:
    """Up to version 4 ``by`` was also the keys of groups and of an order, and ``where`` an argmax."""
    if isinstance(part, list):
        return [_of_version_4(item) for item in part]
    if not isinstance(part, dict):
        return part
    converted = {name: _of_version_4(value) for name, value in part.items()}
    if converted.get("view") == "channels-where":
        return {**converted, "view": "channels-argmax"}
    step = converted.get("step")
    if step == "order-by" and isinstance(keys := converted.get("keys"), list):
        return {**converted, "keys": [_renamed(key, {"by": "value"}) for key in keys]}
    return _renamed(converted, _RENAMED.get(step, {}) if isinstance(step, str) else {})


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    return {names.get(name, name): value for name, value in part.items()} if isinstance(part, dict) else part


def _read(adapter: TypeAdapter[T], body: Any) -> T:
    try:
        # Strict in JSON's sense: 1 is no true, "1" is no number, 1.0 is no 1; arrays are tuples.
        return adapter.validate_json(_dumped(body), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the top"
        raise QueryError(f"The query is not well formed at {place}: {first['msg']}.") from error


def _dumped(body: Any) -> str:
    import json

    try:
        return json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise QueryError(f"The query is not JSON: {error}.") from error


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


@cache
def _column_adapter() -> TypeAdapter[Column]:
    return TypeAdapter(Column)
