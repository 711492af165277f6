"""All nodes of a label as columns over Bolt, in ranges of keys: the way of every engine, which says what is right."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Any, Final, TypeAlias

import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.graph.moment import Reader
from odin_graph.graph.writer import quoted
from odin_graph.schema.kinds import undeleted

Part: TypeAlias = Mapping[str, "pa.Array | Sequence[Any]"]
"""Columns of some rows by name: Arrow arrays of the recorded types, or values as the driver has them."""
ROWS: Final = 20_000
"""Keys a statement: one list of rows comes in several times faster than as many records."""
_SESSIONS: Final = 2
"""Statements at once: the engine works on the next rows while these are decoded."""


def in_ranges(graph: Reader, label: str, names: Sequence[str]) -> Generator[Part]:
    """All nodes with a key that are not deleted, by ascending key."""
    (ends,) = graph.read(f"MATCH (n:{label}) RETURN min(n.key) AS first, max(n.key) AS last, count(n) AS rows")
    if ends["first"] is None:
        return
    # Few are read by one statement, however far apart their keys are: fewer writes come between.
    step = ROWS if ends["rows"] > ROWS else ends["last"] + 1 - ends["first"]
    firsts = iter(range(ends["first"], ends["last"] + 1, step))

    def read(first: int) -> Part:
        return of_range(graph, label, names, first, first + step)

    pool = ThreadPoolExecutor(_SESSIONS, thread_name_prefix="odin export")
    try:
        coming = deque(pool.submit(copy_context().run, read, first) for first in islice(firsts, _SESSIONS))
        while coming:
            part = coming.popleft().result()
            coming += (pool.submit(copy_context().run, read, first) for first in islice(firsts, 1))
            yield part
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who interrupts this need not wait for what is under way


def of_range(graph: Reader, label: str, names: Sequence[str], first: int, end: int) -> Part:
    """The nodes of a range of keys, those that are not deleted."""
    statement = (
        f"MATCH (n:{label}) WHERE n.key >= $first AND n.key < $end AND {undeleted()} "
        f"RETURN collect([{_values(names)}]) AS rows"
    )
    (found,) = graph.read(statement, {"first": first, "end": end})
    return _part(found["rows"], names)


def of_keys(graph: Reader, label: str, names: Sequence[str], keys: NDArray[Any]) -> Part:
    """The nodes of some keys, those that are not deleted."""
    statement = (
        f"UNWIND $keys AS key MATCH (n:{label} {{key: key}}) WHERE {undeleted()} "
        f"RETURN collect([{_values(names)}]) AS rows"
    )
    (found,) = graph.read(statement, {"keys": keys.tolist()})
    return _part(found["rows"], names)


def _values(names: Sequence[str]) -> str:
    return ", ".join(f"n.{quoted(name)}" for name in names)


def _part(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Part:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return dict(zip(names, columns, strict=True))
