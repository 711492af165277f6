"""Bolt values as Python's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from neo4j.time import Date, DateTime, Time


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
    """
    return {name: _sent(value) for name, value in given.items()}


def _sent(value: Any) -> Any:
    match value:
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        case list() | tuple():
            return [_sent(held) for held in value]
        case dict():
            return parameters(value)
    return value
