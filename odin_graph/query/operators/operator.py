"""Physical operators: what runs, on which engine, and why. Each makes a table of images, most of them from another.

A table holds ``key`` in the order of the answer, and the columns that operators added (``distance``, ``stands_for``).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.deadline import check
from odin_graph.query.expressions.arrow import evaluate
from odin_graph.query.expressions.datum import plain
from odin_graph.query.expressions.nodes import (
    Added,
    Compare,
    CompareOp,
    Field,
    Node,
    UnitAggregate,
    Value,
    with_children,
)
from odin_graph.query.names.spaces import vectors_of
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.spaces import Space
from odin_graph.query.units.units import measure_of


class Operator(ABC):
    """One operator of a physical plan.

    Args:
        snapshot: The columns that this execution reads.
        does: What it does, in one line.
    """

    engine: str
    why: str
    """Of the class, or of this operator if the planner had another reason."""
    inputs: tuple[Operator, ...] = ()
    """The operators that its images come from."""

    def __init__(self, snapshot: Snapshot, does: str) -> None:
        self.snapshot = snapshot
        self.does = does
        self.rows: int | None = None
        """How many images came out, once it has run."""
        self.seconds: float | None = None
        """Its own time, without the operators below."""
        self.expected: float | None = None
        """How many images the planner expects to come out; None if it is unknown."""
        self.bytes = 0
        """Bytes of the columns that it has read."""

    @abstractmethod
    def run(self) -> pa.Table:
        """Run what is below, then this; keeps rows and seconds for `explain()`."""

    def forecast(self) -> str | None:
        """What it will choose when it runs, if it has a choice."""
        return None

    def _keep(self, start: float, table: pa.Table) -> pa.Table:
        self.seconds, self.rows = time.perf_counter() - start, table.num_rows
        return table


class Scan(Operator):
    """A source of images."""

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
        """The table after the steps from below; one step after the other, not nested, however many there are."""
        chain: list[Over] = [self]
        while isinstance(below := chain[-1].inputs[0], Over) and type(below).run is Over.run:
            chain.append(below)
        table = below.run()
        for step in reversed(chain):
            check()
            table = step._keep(time.perf_counter(), step._apply(table))  # noqa: SLF001 - of this class
        return table

    @abstractmethod
    def _apply(self, table: pa.Table) -> pa.Table:
        """The table after this step."""


class Apply(Over):
    """Runs a step over the columns of its rows, which it reads for it."""

    def __init__(self, snapshot: Snapshot, below: Operator, step: RowStep) -> None:
        super().__init__(snapshot, below, step.does())
        self._step = step
        self.engine, self.why = step.engine, step.reason()

    def _apply(self, table: pa.Table) -> pa.Table:
        return self._step.run(table, self)

    def vectors(self, by: Space, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors (n, d) of images, in the order of their keys."""
        return vectors_of(self.snapshot.stores, by, keys)

    def values(self, node: Node, table: pa.Table) -> pa.Array:
        """An expression's values, one a row of the table."""
        decided: dict[str, pa.Array] = {}
        node = self._decided(node, table, decided)

        def column(field: Field) -> pa.Array:
            if isinstance(field, Added):
                return decided[field.name] if field.name in decided else plain(table.column(field.name))
            if isinstance(field, UnitAggregate):
                return self._measured(field, table)
            values = self.snapshot.column(field, table.column("key").to_numpy())
            self.bytes += values.nbytes
            return values

        return evaluate(node, column, table.num_rows)

    def _measured(self, field: UnitAggregate, table: pa.Table) -> pa.Array:
        """The value of a group of units for each row."""
        keys, back = np.unique(table.column("key").to_numpy(), return_inverse=True)
        if not len(keys):
            return pa.array([], pa.float64())
        reader = self.snapshot.units(field.units, keys)
        found = reader.measured(measure_of(field), keys)
        self.why = f"{self._step.why}; of units {reader.summary(found.work)}"
        return pa.array(found.values[back], from_pandas=True)

    def _decided(self, node: Node, table: pa.Table, decided: dict[str, pa.Array]) -> Node:
        """The condition with its comparisons of units replaced by columns, decided by bounds as far as they can."""
        comparison = _unit_comparison(node)
        if comparison is None:
            return with_children(node, lambda child: self._decided(child, table, decided))
        field, op, threshold = comparison
        name = f"units {len(decided)}"  # no column of a user's: those are checked before
        keys, back = np.unique(table.column("key").to_numpy(), return_inverse=True)
        if len(keys):
            reader = self.snapshot.units(field.units, keys)
            found = reader.compare(measure_of(field), op, threshold, keys)
            true, missing = np.isin(keys, found.true), np.isin(keys, found.missing)
            decided[name] = pa.array(true[back], mask=missing[back])
            self.why = f"{self._step.why}; of units {reader.summary(found.work, len(found.tied))}"
        else:
            decided[name] = pa.array([], pa.bool_())
        return Added(name)


_FLIPPED: Final[dict[CompareOp, CompareOp]] = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def _unit_comparison(node: Node) -> tuple[UnitAggregate, CompareOp, float] | None:
    """A comparison of units with a number; None where it is something else."""
    match node:
        case Compare(op, UnitAggregate() as field, Value(value=int() | float() as number)):
            return field, op, float(number)
        case Compare(op, Value(value=int() | float() as number), UnitAggregate() as field):
            return field, _FLIPPED[op], float(number)
    return None
