"""Small questions about the graph at one state of it, each asked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from odin_graph.graph.token import ChangeToken

_MOST: Final = 4096
"""Answers that are kept."""


class Reader(Protocol):
    """Answers statements of ours that read: a `Graph`, or a `Moment` of it."""

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement."""


class Moment:
    """What was said since a token was looked up; as long as it stands, nobody has written, and it is said again.

    A question that is asked while somebody writes may be answered by what is there after it. It is not said for long:
    with the write the token changes.

    Args:
        graph: Who is asked what was not asked before.
        token: Looked up before the first question.
    """

    def __init__(self, graph: Reader, token: ChangeToken) -> None:
        self.token = token
        self._graph = graph
        self._said: dict[tuple[str, str], Sequence[Mapping[str, Any]]] = {}
        self.worked_out: dict[Any, Any] = {}
        """What others found out about this state, by names of their own; whoever keeps something bounds it."""

    def read(self, cypher: str, params: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement, which are not to be changed. For few rows: they are kept."""
        asked = (cypher, repr(params))
        rows = self._said.get(asked)
        if rows is None:
            if len(self._said) >= _MOST:
                self._said.clear()
            rows = self._said[asked] = self._graph.read(cypher, params)
        return rows
