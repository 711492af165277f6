"""Values in JSON that are read as they were written: what JSON cannot express is an object of one tagged key.

========================  ==========================================================
``{"$float": "NaN"}``     also ``"Infinity"`` and ``"-Infinity"``
``{"$bytes": "..."}``     in base64
``{"$datetime": "..."}``  in ISO 8601; so are ``$date`` and ``$time``
``{"$node": {...}}``      ``labels`` and ``properties``; ``$relationship``: ``type`` and ``properties``
``{"$map": {...}}``       an object that would look like one of these
========================  ==========================================================

Everything else is itself. Integers are written in full: they have up to 64 bits, more than a double holds.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any, Final

_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(value: Any) -> Any:
    """A value as a JSON value."""
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if math.isfinite(value):
                return value
            return {"$float": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case datetime():
            return {"$datetime": value.isoformat()}
        case date():
            return {"$date": value.isoformat()}
        case time():
            return {"$time": value.isoformat()}
        case bytes() | bytearray():
            return {"$bytes": base64.b64encode(value).decode()}
        case list() | tuple() | set() | frozenset():
            return [to_json(item) for item in value]
        case Mapping() if not hasattr(value, "element_id"):
            return _mapping(value)
    return _other(value)


def from_json(value: Any) -> Any:
    """The value that `to_json` wrote; nodes and relationships as dicts of their labels or type, and properties."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if (read := _READ.get(tag)) is not None:
            return read(content)
    return {name: from_json(item) for name, item in value.items()}


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {str(name): to_json(item) for name, item in value.items()}
    return {"$map": plain} if len(plain) == 1 and next(iter(plain)).startswith("$") else plain


def _other(value: Any) -> Any:
    """NumPy's scalars and arrays, and what the graph's driver gives."""
    if hasattr(value, "element_id"):
        properties = {name: to_json(item) for name, item in value.items()}
        if hasattr(value, "labels"):
            return {"$node": {"labels": sorted(value.labels), "properties": properties}}
        return {"$relationship": {"type": value.type, "properties": properties}}
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if hasattr(value, "iso_format"):  # a duration
        return value.iso_format()
    return str(value)


def _map(content: Any) -> Any:
    return {name: from_json(item) for name, item in content.items()}


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "$float": _FLOATS.__getitem__,
    "$bytes": base64.b64decode,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$node": _map,
    "$relationship": _map,
    "$map": _map,
}
