"""Counters: each number is given only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Run = Callable[[str, Mapping[str, Any]], list[dict[str, Any]]]

# The first SET takes the node's write lock (Neo4j) before the number is read; ArcadeDB notices the conflict at commit.
_RESERVE = """MERGE (c:Counter {id: $id}) ON CREATE SET c.next = 1
SET c.locked = true
WITH c
SET c.next = c.next + $n
RETURN c.next AS next"""


def reserve(run: Run, n: int, counter: str) -> range:
    """Reserve ``n`` numbers of a counter in the transaction that ``run`` belongs to."""
    ((row),) = (run(_RESERVE, {"id": counter, "n": n}),)
    end = int(row[0]["next"])
    return range(end - n, end)
