"""Which part of an expression an error is of; `odin_graph.query.plan.drawn` draws it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node
from odin_graph.query.expressions.spelling import spell


@contextmanager
def at_node(node: Node) -> Iterator[None]:
    """Assign errors in this block to this part of an expression, unless a smaller part has them already."""
    try:
        yield
    except QueryError as error:
        if not hasattr(error, "place"):
            error.place = spell(node)  # type: ignore[attr-defined]
        raise
