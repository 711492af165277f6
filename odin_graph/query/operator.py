"""Physical operators: what runs, on which engine, and why. Each gives a table of images, most of them out of another.

A table holds ``key`` in the order of the answer, and the columns that operators added (``distance``, ``stands_for``).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar

import pyarrow as pa

from odin_graph.deadline import check
from odin_graph.query.arrow import evaluate
from odin_graph.query.datum import plain
from odin_graph.query.nodes import Added, Field, Node
from odin_graph.query.snapshot import Snapshot


class Operator(ABC):
    """One operator of a physical plan.

    Args:
        snapshot: The columns that this execution reads.
        does: What it does, in one line.
    """

    engine: ClassVar[str]
    why: str
    """Of the class, or of this one where the planner had a reason of its own."""
    inputs: tuple[Operator, ...] = ()
    """Where its images come from."""

    def __init__(self, snapshot: Snapshot, does: str) -> None:
        self.snapshot = snapshot
        self.does = does
        self.rows: int | None = None
        """How many images came out, once it has run."""
        self.seconds: float | None = None
        """How long it took, without the operators below."""
        self.expected: float | None = None
        """How many images the planner thinks will come out; None where nobody can say."""
        self.bytes = 0
        """Of columns that it has read."""

    @abstractmethod
    def run(self) -> pa.Table:
        """Run what is below, then this; keeps rows and seconds for `explain()`."""

    def _keep(self, start: float, table: pa.Table) -> pa.Table:
        self.seconds, self.rows = time.perf_counter() - start, table.num_rows
        return table


class Scan(Operator):
    """Where images come from."""

    def run(self) -> pa.Table:
        """The images."""
        return self._keep(time.perf_counter(), self._scan())

    @abstractmethod
    def _scan(self) -> pa.Table:
        """Table of the images, in the source's order."""


class Over(Operator):
    """An operator over another one."""

    def __init__(self, snapshot: Snapshot, below: Operator, does: str) -> None:
        super().__init__(snapshot, does)
        self.inputs = (below,)

    def run(self) -> pa.Table:
        """What becomes of the images from below."""
        table = self.inputs[0].run()
        check()
        return self._keep(time.perf_counter(), self._apply(table))

    def values(self, node: Node, table: pa.Table) -> pa.Array:
        """An expression's values, one a row of the table."""

        def column(field: Field) -> pa.Array:
            if isinstance(field, Added):
                return plain(table.column(field.name))
            values = self.snapshot.column(field, table.column("key").to_numpy())
            self.bytes += values.nbytes
            return values

        return evaluate(node, column, table.num_rows)

    @abstractmethod
    def _apply(self, table: pa.Table) -> pa.Table:
        """What becomes of the images of a table."""
