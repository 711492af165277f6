"""Ids in addresses: whatever an id holds, percent-encoded it is one and no other."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor


def unquoted(text: str) -> str:
    """A part of an address as the id it stands for.

    Raises:
        ValueError: It is no text in UTF-8.
    """
    return unquote_to_bytes(text).decode()


class _Id(Convertor[str]):
    """An id, also with slashes: a route that says more after it comes first, and an encoded slash is the id's own."""

    regex = ".*"

    def convert(self, value: str) -> str:
        return unquoted(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("id", _Id())
