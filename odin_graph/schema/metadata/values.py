"""Metadata values on their way into the graph, and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from odin_graph.errors import MetadataError
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.metadata.types import FieldType, type_of, widen


def encode(value: Any, as_type: FieldType | None = None, name: str = "the field") -> Any:
    """The value as it is sent over Bolt, so that Cypher on either engine sees a native value of its type.

    Missing values (None, NaN, NaT, NA) are None, which a graph does not store. An infinity is stored. A datetime with
    a zone is stored as its UTC time, one without as it is, both without a zone: ArcadeDB drops zones, and on Neo4j a
    zoned datetime compared with one that has none is null. No other datetime may reach the driver: it reads past the
    end of one whose zone is a ``zoneinfo.ZoneInfo``, and crashes or answers an hour wrong.

    Args:
        value: A Python, NumPy or pandas value.
        as_type: The recorded type; ints become floats where it says so. None takes the value's own.
        name: What the value is of, for the message.

    Raises:
        MetadataError: It is of another type, or of none that is stored.
    """
    value = plain(value)
    found = type_of(value)
    if found is None:
        if value == [] and as_type is not None and not as_type.is_list:
            raise MetadataError(f"{name} is {as_type}, and [] is a list: give None to store nothing.")
        return value if value == [] else None
    if as_type is None:
        as_type = found
    elif widen(as_type, found, name) != as_type:
        raise MetadataError(f"{name} is {as_type}, and {value!r} is {found}: record the wider type first.")
    if as_type.is_list:
        return [_encoded(item, as_type.scalar, name) for item in value]
    return _encoded(value, as_type, name)


def decode(value: Any, as_type: FieldType | None = None) -> Any:
    """The Python value of what the driver read; None for one that is not of the recorded type (a foreign client's).

    Args:
        value: As the driver hands it out: temporals are its own classes.
        as_type: The recorded type; None takes whatever is there.
    """
    native: Any = [_native(item) for item in value] if isinstance(value, list) else _native(value)
    if native is None or as_type is None:
        return native
    try:
        found = type_of(native)
        fits = (found is None and as_type.is_list) or (found is not None and widen(as_type, found) == as_type)
    except MetadataError:
        return None
    if not fits:
        return None
    if as_type is FieldType.FLOAT:
        return float(native)
    if as_type is FieldType.FLOATS:
        return [float(item) for item in native]
    return native


def _encoded(value: Any, scalar: FieldType, name: str) -> Any:
    if scalar is FieldType.FLOAT:
        as_float = float(value)
        if isinstance(value, int) and int(as_float) != value:
            raise MetadataError(
                f"{name} is float, which cannot hold {value} exactly: give {name} as a string, or round it."
            )
        return as_float
    return as_utc(value) if scalar is FieldType.DATETIME else value


def as_utc(at: datetime) -> datetime:
    """A time as it is stored: by UTC where it has a zone, and without one.

    Raises:
        MetadataError: In UTC it is before the year 1 or after 9999.
    """
    if at.tzinfo is None:
        return at
    try:
        return at.astimezone(UTC).replace(tzinfo=None)
    except (OverflowError, ValueError) as error:
        raise MetadataError(f"{at!s} is by UTC in no year from 1 to 9999: give a time that is, or no zone.") from error


def _native(value: Any) -> Any:
    if isinstance(value, (str, int, float, date)) or value is None:
        return value
    native = value.to_native() if hasattr(value, "to_native") else value
    if isinstance(native, datetime) and native.tzinfo is not None:
        try:
            return as_utc(native)
        except MetadataError:
            return None
    return native
