"""Bolt values as Python's own."""

from __future__ import annotations

from typing import Any

from neo4j.time import Date, DateTime


def plain(value: Any) -> Any:
    """The driver's temporal types as ``datetime``'s; everything else as it is."""
    match value:
        case Date() | DateTime():
            return value.to_native()
        case list():
            return [plain(held) for held in value]
    return value
