"""Labels that are not ours: those of the users' own classes, which need not be defined where their nodes are read."""

from __future__ import annotations

import time
from typing import Final

from neomodel import db

_FRESH: Final = 1.0
"""Seconds. A result of many nodes asks for every one of them."""

_seen: tuple[float, tuple[str, ...]] = (-_FRESH, ())


def labels() -> tuple[str, ...]:
    """The labels in the graph that neomodel is connected to."""
    global _seen
    at, found = _seen
    if time.monotonic() - at >= _FRESH:
        rows, _ = db.cypher_query("CALL db.labels() YIELD label RETURN label")
        found = tuple(row[0] for row in rows)
        _seen = (time.monotonic(), found)
    return found
