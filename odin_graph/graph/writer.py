"""Writing many nodes and edges: UNWIND batches with every property named.

``CREATE (:L {a: r[0]})`` is ten times faster on ArcadeDB than ``SET n = map``, and rows that are lists take half of
what maps do, so rows are grouped by their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import numpy as np

from odin_graph.errors import QueryError
from odin_graph.graph.journal import NO_IMAGE, ROOT, UP, Touched
from odin_graph.graph.transaction import Transaction

T = TypeVar("T")
BATCH: Final = 10_000
"""Rows a statement: fewer cost round trips, more cost the engine memory."""

_MANY: Final = 1_000
"""Rows for which a value that all have alike is worth a statement of its own."""


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of up to ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def quoted(name: str) -> str:
    """A label, type or property name, quoted for Cypher.

    Raises:
        QueryError: It is empty or holds a character that no quoting makes safe on both engines.
    """
    if not name or "`" in name or "\\" in name or not name.isprintable():
        raise QueryError(
            f"{name!r} cannot be a name in the graph: it is empty, "
            "or contains a backtick, a backslash or a control character."
        )
    return f"`{name}`"


def create_nodes(tx: Transaction, labels: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Create a node for each row; see `create_columns`.

    Args:
        tx: The transaction.
        labels: Of every node.
        rows: A node's properties.
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    create_columns(tx, labels, {name: [row.get(name) for row in rows] for name in names})


def create_columns(
    tx: Transaction,
    labels: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    shared: Mapping[str, Any] | None = None,
) -> None:
    """Create a node for each row of columns. A value of None is left out.

    Args:
        tx: The transaction.
        labels: Of every node.
        columns: The properties by name, in each a value for every node.
        shared: Properties that all nodes have alike. A time above all: the driver takes 40 us to pack one. Columns of
            one value are found here.
    """
    alike = {name: column[0] for name, column in columns.items() if _is_alike(column)}
    if len(alike) < len(columns):
        columns = {name: column for name, column in columns.items() if name not in alike}
        shared = {**(shared or {}), **alike}
    shared = {name: value for name, value in (shared or {}).items() if value is not None}
    shared_properties = "".join(f", {quoted(name)}: $shared.{quoted(name)}" for name in sorted(shared))
    label = "".join(f":{quoted(name)}" for name in labels)
    touched = Touched.things("Image", columns["key"]) if "Image" in labels else NO_IMAGE
    for names, rows in _grouped(columns):
        cypher = f"UNWIND $rows AS r CREATE (n{label} {{{_properties(names)}{shared_properties}}})"
        for batch in batches(rows):
            tx.run(cypher, {"rows": batch, "shared": shared}, NO_IMAGE)
    tx.touched.append(touched)


def create_edges(
    tx: Transaction,
    edge: str,
    start: tuple[str, str],
    end: tuple[str, str],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """Create an edge for each row, between nodes that exist.

    Args:
        tx: The transaction.
        edge: Its type.
        start: Label and property that ``row["start"]`` is looked up in; an indexed one.
        end: The same for ``row["end"]``.
        rows: ``start``, ``end``, and the edge's own properties.
    """
    groups: defaultdict[tuple[str, ...], list[Mapping[str, Any]]] = defaultdict(list)
    rows = list(rows)
    for row in rows:
        groups[
            tuple(sorted(name for name, value in row.items() if value is not None and name not in ("start", "end")))
        ].append(row)
    for names, members in groups.items():
        properties = f" {{{_properties(names)}}}" if names else ""
        cypher = (
            f"UNWIND $rows AS r MATCH (a:{quoted(start[0])} {{{quoted(start[1])}: r[{len(names)}]}}) "
            f"MATCH (b:{quoted(end[0])} {{{quoted(end[1])}: r[{len(names) + 1}]}}) "
            f"CREATE (a)-[:{quoted(edge)}{properties}]->(b)"
        )
        for batch in batches(members):
            tx.run(cypher, {"rows": _values(batch, (*names, "start", "end"))}, NO_IMAGE)
    if edge in UP and start[0] == "Image":
        keys = None if start[1] != "key" else np.array([row["start"] for row in rows], np.int64)
        tx.touched.append(Touched(keys, (ROOT,)))


def _is_alike(column: Sequence[Any]) -> bool:
    """Whether many nodes have the same text or whole number, which is then sent once."""
    if len(column) < _MANY or type(column[0]) not in (str, int) or column[0] != column[-1]:
        return False
    return column.count(column[0]) == len(column) and set(map(type, column)) == {type(column[0])}  # 1 == 1.0 == True


def _grouped(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Sequence[str], list[list[Any]]]]:
    """The rows that have the same properties, with the names of these."""
    holed = {name: column.count(None) for name, column in columns.items() if None in column}
    names = sorted(name for name, column in columns.items() if holed.get(name, 0) < len(column))
    rows = list(map(list, zip(*(columns[name] for name in names), strict=True)))
    partly = [place for place, name in enumerate(names) if name in holed]
    if not partly:
        if rows:
            yield names, rows
        return
    groups: defaultdict[tuple[bool, ...], list[list[Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple([row[place] is None for place in partly])].append(row)
    for missing, members in groups.items():
        absent = {place for place, is_missing in zip(partly, missing, strict=True) if is_missing}
        there = [place for place in range(len(names)) if place not in absent]
        yield [names[place] for place in there], [[row[place] for place in there] for row in members]


def _properties(names: Sequence[str]) -> str:
    return ", ".join(f"{quoted(name)}: r[{place}]" for place, name in enumerate(names))


def _values(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[list[Any]]:
    return [[row[name] for name in names] for row in rows]
