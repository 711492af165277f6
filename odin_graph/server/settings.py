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
    """Run models whose code was captured from a script or notebook, or is none that says what it makes."""
    body_bytes: int = 16 << 20
    """Of a request."""
    text_bytes: int = 4 << 20
    """Of a request with other characters than ASCII, each of whose may take four bytes once it is read."""
    values: int = 250_000
    """Of JSON in a request: numbers, texts, lists and objects together."""
    depth: int = 100
    """Of brackets in JSON."""
    body_seconds: float = 20.0
    """In which a request's body has to come in."""
    head_bytes: int = 16 << 10
    """Of a request's first line and headers."""
    head_seconds: float = 10.0
    """In which they have to come in."""
    write_seconds: float = 20.0
    """In which a client has to take some of an answer."""
    connections: int = 512
    """At once; the one that has waited longest for its client is closed for the next one."""
    seconds: float = 30.0
    """That an answer may take; what runs at the engine is stopped then."""
    concurrency: int = 64
    """Requests with a token at once; the next one is told to come again."""
    answering: int = 8
    """Of those, as many are computed and sent at once; the others wait."""
    pixels: int = 2
    """Of those, as many may be whole images."""
    rows: int = 10_000
    """Of one page of JSON, and of an answer to Cypher. Arrow streams have no pages."""
    page_bytes: int = 2 << 20
    """Of the rows of one page of JSON."""
    answer_bytes: int = 64 << 20
    """Of what an object asks for; a table is streamed, and has no limit."""


def within(settings: Settings, timeout: float | None) -> float:
    """The seconds that an answer may take: the server's limit, or the nearer one of who asks."""
    return settings.seconds if timeout is None else min(settings.seconds, timeout)
