"""A request's JSON, read within bounds that are checked before anything is made of it."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from odin_graph.server.problems import RefusedError
from odin_graph.server.settings import Settings


def json_in(body: bytearray, settings: Settings) -> Any:
    """The JSON value of a body.

    Each bound is checked by counting bytes: what JSON makes of a body can be thirty times as large.

    Raises:
        RefusedError: It is no JSON, too deep, or too much.
    """
    if len(body) > settings.text_bytes and (not body.isascii() or b"\\u" in body):
        raise RefusedError(
            413,
            f"A request with other characters than ASCII has at most {settings.text_bytes:,} bytes, not {len(body):,}.",
        )
    opening = body.count(b"[") + body.count(b"{")
    if opening + body.count(b",") > settings.values:
        raise RefusedError(
            413, f"A request has at most {settings.values:,} values: send fewer at once, or save a data set or a view."
        )
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        if "recursion limit" in str(error):
            raise _deep(settings.depth) from error
        raise RefusedError(422, f"The body is not JSON: {error}.") from error
    if opening > settings.depth:
        _check_depth(value, settings.depth)
    return value


def _check_depth(value: Any, most: int) -> None:
    """Refuse deep nesting, since what reads, checks and prints the value later is recursive."""
    level = [value]
    for _ in range(most + 1):
        level = (
            [
                inner
                for outer in level
                for inner in (outer.values() if isinstance(outer, dict) else outer)
                if isinstance(inner, dict | list)
            ]
            if level and isinstance(level[0], dict | list)
            else []
        )
        if not level:
            return
    raise _deep(most)


def _deep(most: int) -> RefusedError:
    return RefusedError(422, f"The JSON is nested deeper than {most} brackets.")
