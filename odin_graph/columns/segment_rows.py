"""The segments that the graph names, read completely while others compact them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from odin_graph.arrays import SegmentInfo
from odin_graph.graph.moment import Reader

_WHOLE: Final = frozenset(SegmentInfo.__slots__)
_TRIES: Final = 5
"""Equal answers before what is missing is taken as removed."""


def segment_rows(
    reader: Reader, again: Reader, cypher: str, params: Mapping[str, Any] | None = None
) -> Sequence[Mapping[str, Any]]:
    """The rows of a statement that gives properties of segments as ``s``.

    Neo4j reads what is committed when it reaches a node: a segment that was found, and replaced before or while its
    properties were read, has none or some of them, and its replacement may have been missed. Then the statement runs
    again, until all rows are complete, or lacked the same so often that somebody removed it.

    Args:
        reader: Asked first.
        again: Asked where rows are incomplete: not a moment, which caches its rows.
        cypher: The statement.
        params: Its parameters.
    """
    rows = reader.read(cypher, params)
    same = 0
    while same < _TRIES and not all(row["s"].keys() >= _WHOLE for row in rows):
        previous, rows = rows, again.read(cypher, params)
        same = same + 1 if rows == previous else 0
    return rows
