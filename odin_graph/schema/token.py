"""Tokens of the HTTP server."""

from __future__ import annotations

from neomodel import StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import InstantProperty


class Token(Record):
    """Who may use the server. The secret is nowhere: its digest is kept."""

    digest = StringProperty(index=True)
    """SHA-256 of the secret, which has 256 bits of chance: slow hashing protects words."""
    scope = StringProperty()
    """read or write."""
    expires_at = InstantProperty()
    """From when on it is refused, in UTC; none for never."""
