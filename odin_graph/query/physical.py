"""Physical operators: what runs, on which engine, and why. Each takes a table of keys and gives one.

A table holds ``key`` in the order of the answer, and the columns that operators added (``distance``, ``stands_for``).
`nearest` and `representative` have files of their own.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.query.arrow import evaluate
from odin_graph.query.nodes import Node, SortKey
from odin_graph.query.outline import bounds, first_line
from odin_graph.query.plan import Cypher, Slice, WithColumns
from odin_graph.query.snapshot import Snapshot
from odin_graph.query.spelling import spell, spell_key


class Operator(ABC):
    """One operator of a physical plan, over the one it takes its images from."""

    engine: ClassVar[str]
    why: ClassVar[str]

    def __init__(self, snapshot: Snapshot, below: Operator | None = None) -> None:
        self.snapshot = snapshot
        self.below = below
        self.rows: int | None = None
        """How many images came out, once it has run."""
        self.seconds: float | None = None
        """How long it took, without the operators below."""

    def run(self) -> pa.Table:
        """Run what is below, then this; keeps rows and seconds for `explain()`."""
        table = self.below.run() if self.below is not None else None
        start = time.perf_counter()
        result = self._run(table) if table is not None else self._scan()
        self.seconds, self.rows = time.perf_counter() - start, result.num_rows
        return result

    @abstractmethod
    def describe(self) -> str:
        """What it does, in one line."""

    def _run(self, table: pa.Table) -> pa.Table:
        raise TypeError(f"{type(self).__name__} reads no other operator")

    def _scan(self) -> pa.Table:
        raise TypeError(f"{type(self).__name__} needs an operator below it")


class ScanImages(Operator):
    """All images."""

    engine = "columns"
    why = "the keys are kept as a column beside the graph, current by its change token"

    def describe(self) -> str:
        return "all images"

    def _scan(self) -> pa.Table:
        return of_keys(self.snapshot.live)


class ScanMembers(Operator):
    """The members of a data set version."""

    engine = "arrays"
    why = "a frozen version keeps its keys and labels as arrays, in order"

    def __init__(self, snapshot: Snapshot, dataset: str) -> None:
        super().__init__(snapshot)
        self.dataset = dataset

    def describe(self) -> str:
        return f"members of {self.dataset}"

    def _scan(self) -> pa.Table:
        return of_keys(self.snapshot.members(self.dataset))


class ScanKeys(Operator):
    """Images that were named one by one."""

    engine = "columns"
    why = "the keys are in the query"

    def __init__(self, snapshot: Snapshot, keys: tuple[int, ...]) -> None:
        super().__init__(snapshot)
        self.keys = np.array(keys, np.int64)

    def describe(self) -> str:
        return f"{len(self.keys):,} named images"

    def _scan(self) -> pa.Table:
        return of_keys(self.keys[self.snapshot.alive(self.keys)])


class ScanCypher(Operator):
    """The images that a user's statement returns."""

    engine = "graph"
    why = "the statement is the user's own; it runs read-only, its values as parameters"

    def __init__(self, snapshot: Snapshot, cypher: Cypher) -> None:
        super().__init__(snapshot)
        self.cypher = cypher

    def describe(self) -> str:
        return f"cypher {first_line(self.cypher.text)}"

    def _scan(self) -> pa.Table:
        keys = self.snapshot.cypher_keys(self.cypher)
        return of_keys(keys[self.snapshot.alive(keys)])


class Given(Operator):
    """An answer that is there already."""

    engine = "columns"
    why = "it was computed before"

    def __init__(self, snapshot: Snapshot, answer: pa.Table) -> None:
        super().__init__(snapshot)
        self.answer = answer

    def describe(self) -> str:
        return "the answer"

    def _scan(self) -> pa.Table:
        return self.answer


class Filter(Operator):
    """Keep the rows of which a predicate is true."""

    engine = "columns"
    why = "metadata, labels and predictions are Arrow columns by key: a scan needs no round trip"

    def __init__(self, snapshot: Snapshot, below: Operator, predicate: Node) -> None:
        super().__init__(snapshot, below)
        self.predicate = predicate

    def describe(self) -> str:
        return f"where {spell(self.predicate)}"

    def _run(self, table: pa.Table) -> pa.Table:
        keep = values(self.snapshot, self.predicate, table)
        return table.filter(keep.cast(pa.bool_()), null_selection_behavior="drop")


class Sort(Operator):
    """Order the rows; ties by key, missing values last."""

    engine = "columns"
    why = "the keys of the order are Arrow columns"

    def __init__(self, snapshot: Snapshot, below: Operator, keys: tuple[SortKey, ...]) -> None:
        super().__init__(snapshot, below)
        self.keys = keys

    def describe(self) -> str:
        return f"order by {', '.join(map(spell_key, self.keys))}"

    def _run(self, table: pa.Table) -> pa.Table:
        by: dict[str, pa.Array] = {}
        order: list[tuple[str, str]] = []
        for position, key in enumerate(self.keys):
            found = values(self.snapshot, key.by, table)
            if pa.types.is_null(found.type):
                continue  # nothing is there to order by
            name = f"by{position}"
            by[name] = found
            order.append((name, "descending" if key.descending else "ascending"))
        by["key"] = table.column("key")
        order.append(("key", "ascending"))
        return table.take(pc.sort_indices(pa.table(by), sort_keys=order, null_placement="at_end"))


class Cut(Operator):
    """A Python slice of the rows."""

    engine = "columns"
    why = "a position in the order of the answer"

    def __init__(self, snapshot: Snapshot, below: Operator, cut: Slice) -> None:
        super().__init__(snapshot, below)
        self.cut = cut

    def describe(self) -> str:
        return f"slice [{bounds(self.cut)}]"

    def _run(self, table: pa.Table) -> pa.Table:
        rows = range(*slice(self.cut.start, self.cut.stop, self.cut.stride).indices(table.num_rows))
        if rows.step == 1:
            return table.slice(rows.start, len(rows))
        return table.take(pa.array(rows, pa.int64()))


class AddColumns(Operator):
    """Add columns to the rows."""

    engine = "columns"
    why = "metadata, labels and predictions are Arrow columns by key"

    def __init__(self, snapshot: Snapshot, below: Operator, add: WithColumns) -> None:
        super().__init__(snapshot, below)
        self.add = add

    def describe(self) -> str:
        return "columns " + ", ".join(f"{column.name}={spell(column.value)}" for column in self.add.columns)

    def _run(self, table: pa.Table) -> pa.Table:
        for column in self.add.columns:
            if column.name in table.column_names:
                raise QueryError(f"The result has a column {column.name!r} already: give the new one another name.")
            table = table.append_column(column.name, values(self.snapshot, column.value, table))
        return table


def of_keys(keys: NDArray[np.int64]) -> pa.Table:
    """A table of keys."""
    return pa.table({"key": pa.array(keys, pa.int64())})


def values(snapshot: Snapshot, node: Node, table: pa.Table) -> pa.Array:
    """An expression's values, one a row of the table."""
    keys = table.column("key").to_numpy()
    return evaluate(node, lambda field: snapshot.column(field, keys), len(keys))
