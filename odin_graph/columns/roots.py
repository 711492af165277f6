"""What each derived image was made of, at the beginning of its chain of edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.graph import Graph
from odin_graph.graph.export import ROWS
from odin_graph.graph.journal import UP
from odin_graph.graph.writer import batches

_UP: Final = f"-[:{'|'.join(UP)}]->"
_ROOT: Final = "RETURN collect([i.key, r.key, labels(r), r.id]) AS rows"
_ROOTS_OF: Final = f"UNWIND $keys AS key MATCH (i:Image {{key: key}}){_UP}(r) {_ROOT}"

Edge = Sequence[Any]


def read_roots(graph: Graph) -> pa.Table:
    """Columns ``key`` and ``root`` of all images that lead somewhere; see `Columns.roots`."""
    (ends,) = graph.read(f"MATCH (i:Image){_UP}() RETURN min(i.key) AS first, max(i.key) AS last")
    if ends["first"] is None:
        return _rooted([])
    statement = f"MATCH (i:Image){_UP}(r) WHERE i.key >= $first AND i.key < $end {_ROOT}"
    parts = [
        graph.read(statement, {"first": first, "end": first + ROWS})
        for first in range(ends["first"], ends["last"] + 1, ROWS)
    ]
    return _rooted([row for (part,) in parts for row in part["rows"]])


def read_roots_of(graph: Graph, keys: NDArray[np.int64]) -> pa.Table:
    """The same of these images."""
    table = _rooted(_edges_up(graph, keys))
    return table.filter(pa.array(np.isin(table.column("key").to_numpy(), keys)))


def _edges_up(graph: Graph, keys: NDArray[np.int64]) -> list[Edge]:
    """The edges to roots of these images, of what these lead to, and so on: few levels, if any."""
    found: list[Edge] = []
    seen: set[int] = set()
    level = np.unique(keys).tolist()
    while level:
        seen.update(level)
        rows = [row for part in batches(level, ROWS) for row in graph.read(_ROOTS_OF, {"keys": part})[0]["rows"]]
        found += rows
        level = sorted({row[1] for row in rows if row[1] is not None} - seen)
    return found


def _rooted(rows: Iterable[Edge]) -> pa.Table:
    """The roots of each image, from edges: its key, the key, labels and id of what it leads to.

    Every chain is followed to its end: what other clients drew may have no HAS_ROOT, or several parents.
    """
    up: dict[int, tuple[int | str, ...]] = {}
    for key, root_key, labels, root_id in rows:
        root = root_key if root_key is not None else f"{'Volume' if 'Volume' in labels else 'Video'}/{root_id}"
        before = up.get(key, ())
        if root not in before:
            up[key] = (*before, root)
    keys: list[int] = []
    roots: list[str] = []
    for key in sorted(up):
        found = up[key] if up.keys().isdisjoint(up[key]) else _ends(up, key)
        keys += [key] * len(found)
        roots += sorted(map(str, found))
    return pa.table({"key": pa.array(keys, pa.int64()), "root": pa.array(roots, pa.string())})


def _ends(up: Mapping[int, Sequence[int | str]], key: int) -> set[int | str]:
    """The ends of all chains from a key; of a cycle, which has no end, all its nodes."""
    ends, visited, pending = set[int | str](), set[int | str](), [*up[key]]
    while pending:
        node = pending.pop()
        if not isinstance(node, int) or node not in up:
            ends.add(node)
        elif node not in visited:
            visited.add(node)
            pending += up[node]
    return ends or visited
