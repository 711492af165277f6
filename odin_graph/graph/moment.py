"""Small questions about the graph at one state of it, each asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from odin_graph.graph.token import ChangeToken

_MOST: Final = 4096
"""Results that are cached."""


class Reader(Protocol):
    """Answers statements of ours that read: a `Graph`, or a `Moment` of it."""

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement."""


class Moment:
    """Caches what was read since a token was looked up; while the token is the same, nobody has written.

    A statement that is read while somebody writes may return the state after the write. It is not cached for long: the
    write changes the token.

    Args:
        graph: Reads what is not cached.
        token: Looked up before the first question.
    """

    def __init__(self, graph: Reader, token: ChangeToken) -> None:
        self.token = token
        self._graph = graph
        self._rows: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
        self.worked_out: dict[Any, Any] = {}
        """What other code computed from this state, under keys of its own; whoever caches something here bounds it."""

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement, which must not be changed. For few rows: they are cached."""
        key = (cypher, repr(params))
        rows = self._rows.get(key)
        if rows is None:
            if len(self._rows) >= _MOST:
                self._rows.clear()
            rows = self._rows[key] = self._graph.read(cypher, params)
        return rows
