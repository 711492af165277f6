"""Values as another type: what is asked for by name, ``types={"age": int}`` or ``retype``, and never guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final

from odin_graph.errors import MetadataError
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.metadata.types import INT64, FieldType, type_of

OF_PYTHON: Final[Mapping[type, FieldType]] = {
    str: FieldType.STRING,
    int: FieldType.INT,
    float: FieldType.FLOAT,
    bool: FieldType.BOOL,
    date: FieldType.DATE,
    datetime: FieldType.DATETIME,
}
"""Field types by the Python class that asks for them."""

MISSING_WORDS: Final = frozenset(("", "na", "n/a", "nan", "nat", "null", "none", "<na>", "#n/a"))
"""Texts, in lower case, that stand for a missing value where another type than text is asked for."""

_TRUE: Final = frozenset(("true", "yes", "1"))
_FALSE: Final = frozenset(("false", "no", "0"))
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf(inity)?", re.IGNORECASE)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(_DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?")
_FINER: Final = re.compile(r"[.,][0-9]{6}0*[1-9]")
"""A fraction of a second beyond microseconds."""


def asked_type(asked: Any) -> FieldType:
    """The type that a Python class asks for.

    Raises:
        MetadataError: It is none of those.
    """
    if isinstance(asked, FieldType):
        return asked
    found = OF_PYTHON.get(asked) if isinstance(asked, type) else None
    if found is None:
        known = ", ".join(python.__name__ for python in OF_PYTHON)
        raise MetadataError(f"{asked!r:.60} is not a type of a field: give one of {known}.")
    return found


def convert(value: Any, to: FieldType) -> Any:
    """The value as a type that was asked for; None where it is missing.

    No digit is lost: 1.5 is no int, 2**53 + 1 no float, and a datetime that is not at midnight no date. Text may be
    spelt freely ("+1", "1.50", "yes", "2024-02-29 12:30+01:00"), and `MISSING_WORDS` are missing.

    Raises:
        ValueError: It does not fit.
        MetadataError: It is of no type that is stored.
    """
    value = plain(value)
    if value is None:
        return None
    found = type_of(value)
    if found is to:
        return value
    if isinstance(value, list):
        if not to.is_list:
            raise ValueError("a list")
        return [convert(item, to.scalar) for item in value]
    if to.is_list:
        raise ValueError("no list")
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in MISSING_WORDS else _of_text(text, to)
    return _of_value(value, to)


def _of_text(text: str, to: FieldType) -> Any:
    match to:
        case FieldType.INT if _WHOLE.fullmatch(text):
            return _int64(int(text))
        case FieldType.FLOAT if _WHOLE.fullmatch(text):
            return _float(int(text))
        case FieldType.FLOAT if _NUMBER.fullmatch(text):
            return _of_digits(text)
        case FieldType.INT if _NUMBER.fullmatch(text):
            return _of_value(_of_digits(text), to)
        case FieldType.BOOL if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        case FieldType.DATE if _DAY.fullmatch(text):
            return date.fromisoformat(text)
        case FieldType.DATETIME if _DAY.fullmatch(text) or _MOMENT.fullmatch(text):
            if _FINER.search(text):
                raise ValueError("finer than microseconds")
            return datetime.fromisoformat(text)
    raise ValueError(f"no {to}")


def _of_value(value: Any, to: FieldType) -> Any:
    match to:
        case FieldType.STRING:
            return value.isoformat() if isinstance(value, date) else str(value)
        case FieldType.INT if isinstance(value, bool):
            return int(value)
        case FieldType.INT if isinstance(value, float) and value.is_integer():
            return _int64(int(value))
        case FieldType.FLOAT if isinstance(value, int):
            return _float(int(value))
        case FieldType.BOOL if isinstance(value, int | float) and value in (0, 1):
            return bool(value)
        case FieldType.DATE if isinstance(value, datetime) and value.time() == time() and value.tzinfo is None:
            return value.date()
        case FieldType.DATETIME if isinstance(value, date):
            return datetime.combine(value, time())
    raise ValueError(f"no {to}")


def _of_digits(text: str) -> float:
    number = float(text)
    if math.isinf(number) and text[-1].isdigit():  # 1e400
        raise ValueError("beyond 64 bits")
    return number


def _int64(number: int) -> int:
    if number not in INT64:
        raise ValueError("beyond 64 bits")
    return number


def _float(number: int) -> float:
    if abs(number) > 2**1023 or int(float(number)) != number:
        raise ValueError("digits would be lost")
    return float(number)
