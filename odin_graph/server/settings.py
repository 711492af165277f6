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
    trust_source: bool = False
    """Run models whose code was captured from a script or notebook, or that are exported programs."""
    body_bytes: int = 16 << 20
    """The largest request."""
    text_bytes: int = 4 << 20
    """The largest request that is not ASCII: in memory each of its characters may take four bytes."""
    values: int = 250_000
    """The most values in the JSON of a request: numbers, texts, lists and objects together."""
    depth: int = 100
    """The deepest nesting of JSON."""
    body_seconds: float = 20.0
    """The time for a request's body to arrive."""
    head_bytes: int = 16 << 10
    """The largest first line and headers of a request."""
    head_seconds: float = 10.0
    """The time for them to arrive."""
    write_seconds: float = 20.0
    """The longest time without the client reading some of its answer."""
    connections: int = 512
    """The most open connections; for a further one, the connection that has been idle longest is closed."""
    seconds: float = 30.0
    """The longest time for an answer; then the engine's work for it is stopped."""
    concurrency: int = 64
    """The most requests with a token at once; a further one is refused with 429."""
    answering: int = 8
    """How many of these are answered at once; the others wait."""
    pixels: int = 2
    """How many of these may be answered with whole images."""
    rows: int = 10_000
    """The most rows of a page of JSON, and of an answer to Cypher. Arrow streams have no pages."""
    page_bytes: int = 2 << 20
    """The largest page of JSON."""
    answer_bytes: int = 64 << 20
    """The largest answer of a served function. Tables are streamed, without a limit."""


def within(settings: Settings, timeout: float | None) -> float:
    """The seconds that an answer may take: the server's limit, or the client's if it is shorter."""
    return settings.seconds if timeout is None else min(settings.seconds, timeout)
