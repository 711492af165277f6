"""Columns of text as values: a type is taken only where every value prints back as it was written.

So 0001, 1e5, +1, 1,000 and 1.50 stay text, and with them their whole column: patient 0001 is not patient 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from odin_graph.schema.metadata import FieldType
from odin_graph.schema.metadata.conversion import convert
from odin_graph.schema.metadata.types import INT64

NAN: Final = ("nan", "NaN")
"""Missing in a column of numbers. In a column of text these are text, as NA, None and null are in every column."""

_DIGIT: Final = re.compile("[0-9]")


@dataclass(frozen=True)
class Read:
    """A column of text that was read."""

    values: Mapping[str, Any]
    """By text."""
    type: FieldType
    note: str = ""
    """Why it stayed text, where somebody may have expected another type."""


def read_texts(texts: Sequence[str], name: str) -> Read:
    """Read the distinct texts of a column; the empty text is missing.

    Args:
        texts: Each once.
        name: Of the column, for the note.
    """
    some = [text for text in texts if text]
    for type_, read in _READINGS:
        numbers = type_ in (FieldType.INT, FieldType.FLOAT)
        judged = [text for text in some if text not in NAN] if numbers else some
        if (values := _all(judged, read)) is not None and (type_ is not FieldType.FLOAT or _any_finite(values)):
            return Read(dict.fromkeys(texts) | dict(zip(judged, values, strict=True)), type_)
    as_text = {text: text or None for text in texts}
    return Read(as_text, FieldType.STRING, _note(some, name))


def _all(texts: Sequence[str], read: Callable[[str], Any]) -> list[Any] | None:
    """Every text as a value; None where one does not print back."""
    values = []
    for text in texts:
        try:
            value = read(text)
        except ValueError:
            return None
        if value is None:
            return None
        values.append(value)
    return values


def _int(text: str) -> int | None:
    # Longer ones do not fit into 64 bits, and Python refuses to print very long ones.
    number = int(text) if len(text) <= 20 else 2**63
    return number if number in INT64 and str(number) == text else None


def _float(text: str) -> float | None:
    number = float(text)
    return number if repr(number) == text and number == number else None


def _bool(text: str) -> bool | None:
    return {"True": True, "False": False}.get(text)


def _date(text: str) -> date | None:
    day = date.fromisoformat(text)
    return day if day.isoformat() == text else None


def _datetime(separator: str) -> Callable[[str], datetime | None]:
    def read(text: str) -> datetime | None:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None and moment.isoformat(separator) == text else None

    return read


_READINGS: Final[Sequence[tuple[FieldType, Callable[[str], Any]]]] = (
    (FieldType.INT, _int),
    (FieldType.FLOAT, _float),
    (FieldType.BOOL, _bool),
    (FieldType.DATE, _date),
    (FieldType.DATETIME, _datetime(" ")),
    (FieldType.DATETIME, _datetime("T")),
)


def _any_finite(values: Sequence[float]) -> bool:
    """Whether there is a number at all: a column of "inf" is of words."""
    return not values or any(abs(value) != float("inf") for value in values)


def _note(texts: Sequence[str], name: str) -> str:
    """A note for a column that stays text, though all of it can be read as numbers."""
    if not any(_DIGIT.search(text) for text in texts):
        return ""
    try:
        for text in texts:
            convert(text.replace(",", ""), FieldType.FLOAT)
    except ValueError:
        return ""
    return (
        f"The column {name!r} stays text, because {_odd(texts)!r} would be printed differently as a number: "
        f"types={{{name!r}: float}} (or int) reads it as numbers anyway."
    )


def _odd(texts: Sequence[str]) -> str:
    """The first text that a column of floats, and where all are whole, one of integers, would print otherwise."""
    whole = any(_all([text], _int) for text in texts) and not any(_all([text], _float) for text in texts)
    return next((text for text in texts if _all([text], _int if whole else _float) is None), texts[0])
