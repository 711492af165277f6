"""Bolt values as Python's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from neo4j.time import Date, DateTime, Time

from odin_graph.errors import QueryError

_INT64: Final = range(-(2**63), 2**63)


def plain(value: Any) -> Any:
    """The driver's temporal types as ``datetime``'s; everything else as it is."""
    match value:
        case Date() | DateTime() | Time():
            return value.to_native()
        case list():
            return [plain(held) for held in value]
        case dict():
            return {name: plain(held) for name, held in value.items()}
    return value


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """A user's parameters, as what is stored compares with them: a datetime in UTC, without its zone.

    The driver reads past the end of a datetime whose zone is a ``zoneinfo.ZoneInfo``, which crashes or is an hour off.

    Raises:
        QueryError: A number that no graph holds.
    """
    return {name: _sent(value) for name, value in given.items()}


def _sent(value: Any) -> Any:
    match value:
        case int() if value not in _INT64:
            raise QueryError(f"A parameter is {value:,}, which needs more than 64 bits, as no stored number does.")
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        case list() | tuple():
            return [_sent(held) for held in value]
        case dict():
            return parameters(value)
    return value
