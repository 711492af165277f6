"""Ids in paths, percent-encoded, so that an id may contain any character."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor


def unquoted(text: str) -> str:
    """The id of a part of a path.

    Raises:
        ValueError: It is no text in UTF-8.
    """
    return unquote_to_bytes(text).decode()


class _Id(Convertor[str]):
    """An id, also with slashes: longer routes are matched first, and an encoded slash belongs to the id."""

    regex = ".*"

    def convert(self, value: str) -> str:
        return unquoted(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("id", _Id())
