"""What a server allows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and switches of one server."""

    auth: bool = True
    """Ask for a token."""
    cypher: bool = False
    """Answer ``POST /v1/cypher``."""
    body_bytes: int = 16 << 20
    """Of a request."""
    body_seconds: float = 20.0
    """In which a request's body has to come in."""
    seconds: float = 30.0
    """That an answer may take; what runs at the engine is stopped then."""
    concurrency: int = 64
    """Requests at once; the next one is told to come again."""
    rows: int = 10_000
    """Of one page of JSON. Arrow streams have no pages."""
    depth: int = 100
    """Of brackets in JSON."""


def within(settings: Settings, timeout: float | None) -> float:
    """The seconds that an answer may take: the server's limit, or the nearer one of who asks."""
    return settings.seconds if timeout is None else min(settings.seconds, timeout)
