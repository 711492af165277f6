"""Plain Python values from what NumPy, pandas and Arrow hand in; none of them is imported for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from odin_graph.errors import MetadataError


def plain(value: Any) -> Any:
    """The value as Python has it: a bool, int, float, str, date, datetime or list of them; None where it is missing.

    Missing are None, NaN (NumPy's and Python's), pandas' NA and NaT, NumPy's NaT, Arrow's null. Sets and other
    containers, and whatever else is no value of metadata, come back as they are, for `type_of` to refuse.

    Raises:
        MetadataError: A datetime with digits beyond microseconds, which would be lost.
    """
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return None if math.isnan(value) else value
    if isinstance(value, str):  # NumPy's strings, and enumerations, whose str() would be their name
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    if _is_missing(value):
        return None
    if hasattr(value, "as_py"):  # Arrow's scalars
        return plain(value.as_py())
    if hasattr(value, "to_pydatetime"):  # pandas' Timestamp, which is a datetime with nanoseconds
        return _pydatetime(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        listed = _listed(value)
        return listed if type(listed) is type(value) else plain(listed)  # a longdouble stays one
    return value


def _is_missing(value: Any) -> bool:
    # NaT is a datetime that is no datetime; NA raises when it is asked whether it equals itself.
    return type(value).__name__ in ("NAType", "NaTType")


def _pydatetime(value: Any) -> Any:
    if value.nanosecond:
        raise _finer(value)
    return value.to_pydatetime(warn=False)


def _listed(value: Any) -> Any:
    # datetime64[ns].tolist() is an int; in microseconds a datetime, in days a date, for the years 1 to 9999.
    if getattr(getattr(value, "dtype", None), "kind", "") != "M":
        return value.tolist()
    cut = value if str(value.dtype) == "datetime64[D]" else value.astype("datetime64[us]")
    if not ((cut == value) | (value != value)).all():  # NaT is not itself
        raise _finer(value)
    listed = cut.tolist()
    if any(isinstance(item, int) for item in _flat(listed)):
        raise MetadataError(f"{value!s:.60} is beyond the years 1 to 9999 that datetimes have: store it as text.")
    return listed


def _flat(listed: Any) -> Iterator[Any]:
    if not isinstance(listed, list):
        yield listed
        return
    for item in listed:
        yield from _flat(item)


def _finer(value: Any) -> MetadataError:
    return MetadataError(
        f"{value!s:.60} is finer than microseconds, which is what datetimes are stored in: round it, as in "
        "value.round('us') of pandas, or store it as text."
    )
