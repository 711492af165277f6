"""Plain Python values from what NumPy and pandas hand in; neither of the two is imported for it."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """The value as Python has it: a bool, int, float, str, date, datetime or list of them; None where it is missing.

    Missing are None, NaN (NumPy's and Python's), pandas' NA and NaT, NumPy's NaT. Sets and other containers, and
    whatever else is no value of metadata, come back as they are, for `type_of` to refuse.
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
    if hasattr(value, "to_pydatetime"):  # pandas' Timestamp, which is a datetime with nanoseconds
        return value.to_pydatetime(warn=False)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        listed = _microseconds(value).tolist()
        return listed if type(listed) is type(value) else plain(listed)  # a longdouble stays one
    return value


def _is_missing(value: Any) -> bool:
    # NaT is a datetime that is no datetime; NA raises when it is asked whether it equals itself.
    return type(value).__name__ in ("NAType", "NaTType")


def _microseconds(value: Any) -> Any:
    # datetime64[ns].tolist() is an int; in microseconds it is a datetime, in days a date.
    dtype = getattr(value, "dtype", None)
    if dtype is not None and dtype.kind == "M" and not str(dtype).endswith(("[D]", "[us]")):
        return value.astype("datetime64[us]")
    return value
