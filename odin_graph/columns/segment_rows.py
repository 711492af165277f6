"""The segments that the graph names, read whole while others compact them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from odin_graph.graph.moment import Reader


def segment_rows(
    reader: Reader, again: Reader, cypher: str, params: Mapping[str, Any] | None = None
) -> Sequence[Mapping[str, Any]]:
    """The rows of a statement that gives properties of segments as ``s``.

    Neo4j reads what is committed when it comes to a node: a segment that was found, and replaced before its properties
    were read, has none, and what took its place may have been missed. Then all of it is asked again.

    Args:
        reader: Who is asked first.
        again: Who is asked where an answer is torn: not a moment, which keeps its answers.
        cypher: The statement.
        params: Its parameters.
    """
    rows = reader.read(cypher, params)
    while not all(row["s"] for row in rows):
        rows = again.read(cypher, params)
    return rows
