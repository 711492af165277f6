"""The Cypher of a query as its steps write it, each its lines. `odin_graph.query.cypher` has the two there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from odin_graph.query.expressions.nodes import Node, SortKey
from odin_graph.query.plan.columns import Column


class CypherText(Protocol):
    """The lines so far. What they give is images, things of another kind, or groups."""

    def keep(self, predicate: Node) -> None:
        """Keep the rows of which it is true."""

    def order_by(self, keys: Sequence[SortKey]) -> None:
        """Order the rows from here on; ties as before."""

    def cut(self, start: int | None, stop: int | None, stride: int) -> None:
        """Keep the rows at these positions.

        Raises:
            QueryError: They have no form in Cypher.
        """

    def add(self, columns: Sequence[Column]) -> None:
        """Add columns to the result."""

    def select(self, columns: Sequence[Column]) -> None:
        """Give these columns and no others."""

    def group_by(self, keys: Sequence[Column], aggregates: Sequence[Column]) -> CypherText:
        """What goes on with the groups of the rows."""

    def text(self) -> str:
        """The whole statement."""
