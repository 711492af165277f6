"""The types that metadata has: one recorded type a name and kind of node."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from odin_graph.errors import MetadataError
from odin_graph.schema.metadata.plain import plain


class FieldType(StrEnum):
    """The type of a field, as it is recorded in the graph: ``FieldType("list[int]")``."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    STRING = "string"
    DATE = "date"
    DATETIME = "datetime"
    INTS = "list[int]"
    FLOATS = "list[float]"
    BOOLS = "list[bool]"
    STRINGS = "list[string]"
    DATES = "list[date]"
    DATETIMES = "list[datetime]"

    @property
    def is_list(self) -> bool:
        """Whether a value is a list."""
        return self.value.startswith("list[")

    @property
    def scalar(self) -> FieldType:
        """The type of one item; of a scalar type itself."""
        return FieldType(self.value[5:-1]) if self.is_list else self

    @property
    def listed(self) -> FieldType:
        """The type of a list of it."""
        return self if self.is_list else FieldType(f"list[{self.value}]")


SCALARS: Final = tuple(known for known in FieldType if not known.is_list)

# bool before int and datetime before date: each is a subclass of the other.
_OF_PYTHON: Final = (
    (bool, FieldType.BOOL),
    (int, FieldType.INT),
    (float, FieldType.FLOAT),
    (str, FieldType.STRING),
    (datetime, FieldType.DATETIME),
    (date, FieldType.DATE),
)
INT64: Final = range(-(2**63), 2**63)
_PLAIN: Final[dict[type, FieldType]] = dict(_OF_PYTHON[:4])
_SHOWN: Final = 60


def type_of(value: Any) -> FieldType | None:
    """The type of one value; None for one that is missing (None, NaN, NaT, pandas' NA) and for an empty list.

    Raises:
        MetadataError: It is of no type that is stored: beyond 64 bits, a list of lists, of several types, an object.
    """
    given, value = value, plain(value)
    if value is None:
        return None
    if not isinstance(value, list):
        return _scalar(value)
    found: FieldType | None = None
    for item in value:
        if item is None:
            raise MetadataError(f"{_shown(given)} has missing values inside, which no graph stores: leave them out.")
        if isinstance(item, list):
            raise MetadataError(f"{_shown(value)} is a list of lists, which no graph stores: make a field of each.")
        item_type = _scalar(item).listed
        found = item_type if found is None else widen(found, item_type, _shown(value))
    return found


def classify(values: Iterable[Any], name: str = "the field") -> FieldType | None:
    """The one type that holds all the values; None where all are missing.

    Args:
        values: Python, NumPy or pandas values.
        name: What the values are of, for the message.

    Raises:
        MetadataError: They have no type in common, or one is of no type that is stored.
    """
    found: FieldType | None = None
    values = list(values)
    if (alike := plain_type(values)) is not None:
        return alike
    for value in values:
        try:
            value_type = type_of(value)
        except MetadataError as error:
            raise MetadataError(f"{name}: {error}") from None
        if value_type is not None and value_type is not found:
            found = value_type if found is None else widen(found, value_type, name)
    return found


def plain_type(values: Collection[Any]) -> FieldType | None:
    """The type of a column of bools, ints, floats or strings of Python's own, beside None and NaN; None of any other.

    What nearly every column is, in a tenth of the time that its values take one by one.
    """
    kinds = set(map(type, values)) - {type(None)}
    found = _PLAIN.get(kinds.pop()) if len(kinds) == 1 else None
    if found is FieldType.INT and any(value is not None and value not in INT64 for value in values):
        return None
    if found is FieldType.FLOAT and all(value is None or value != value for value in values):
        return None
    return found


def widen(recorded: FieldType, new: FieldType, name: str = "the field") -> FieldType:
    """The type that holds both: int widens to float, in lists too, and nothing else does.

    Raises:
        MetadataError: No type holds both.
    """
    if recorded is new:
        return recorded
    if recorded.is_list == new.is_list and {recorded.scalar, new.scalar} == {FieldType.INT, FieldType.FLOAT}:
        return FieldType.FLOATS if recorded.is_list else FieldType.FLOAT
    raise MetadataError(
        f"{name} is {recorded}, and a value of it is {new}. A field has one type, and only int widens, to float: "
        f"convert the values to {recorded}, or give the others a field of their own."
    )


def _scalar(value: Any) -> FieldType:
    for python, found in _OF_PYTHON:
        if isinstance(value, python):
            if found is FieldType.INT and value not in INT64:
                raise MetadataError(f"{_shown(value)} does not fit into 64 bits: store it as a string or a float.")
            return found
    raise MetadataError(
        f"{_shown(value)} is of type {type(value).__name__}, which is not stored. "
        f"There is: {', '.join(SCALARS)}, and lists of each."
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."
