"""Bolt values as Python's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from neo4j.time import Date, DateTime, Time

from odin_graph.errors import QueryError

_AS_THEY_ARE: Final = frozenset((str, int, float, bool, type(None)))
_INT64: Final = range(-(2**63), 2**63)


def plain(value: Any) -> Any:
    """The driver's temporal types as ``datetime``'s; everything else as it is."""
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case list():  # rows come in as lists of lists, a million values at a time
            return value if _AS_THEY_ARE.issuperset(map(type, value)) else [plain(item) for item in value]
        case Date() | DateTime() | Time():
            return value.to_native()
        case dict():
            return {name: plain(item) for name, item in value.items()}
    return value


@contextmanager
def sending() -> Iterator[None]:
    """Turn the driver's errors about values that it cannot send, raised before it sends any, into ours.

    Raises:
        QueryError: A value of a type that no graph has.
    """
    try:
        yield
    except UnicodeEncodeError:
        raise  # `translated` turns it into ours
    except (ValueError, TypeError, OverflowError) as error:
        raise QueryError(
            f"A parameter cannot be sent to the graph ({error}): give numbers, texts, bools, dates and times, bytes, "
            "None, and lists and dicts (by text) of them."
        ) from error


def parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """A user's parameters in the form in which values are stored: a datetime in UTC, without its zone.

    The driver reads past the end of a datetime whose zone is a ``zoneinfo.ZoneInfo``, which crashes or is an hour off.

    Raises:
        QueryError: A number or a time that no graph holds.
    """
    return {name: _sent(value) for name, value in given.items()}


def _sent(value: Any) -> Any:
    match value:
        case int() if value not in _INT64:
            raise QueryError(f"A parameter is {value:,}, which needs more than 64 bits, as no stored number does.")
        case datetime() if value.tzinfo is not None:
            try:
                return value.astimezone(UTC).replace(tzinfo=None)
            except OverflowError as error:
                raise QueryError(
                    f"A parameter is {value}, which is by UTC in no year from 1 to 9999: give a time that is, or no "
                    "zone."
                ) from error
        case list() | tuple():
            return [_sent(item) for item in value]
        case dict():
            return parameters(value)
    return value
