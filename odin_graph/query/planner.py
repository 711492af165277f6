"""From a logical plan to physical operators.

Steps run in the order in which they were written; choosing the most selective first is a rewriting of the plan, made
before this by whoever has statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

import pyarrow as pa

from odin_graph.query.column_steps import AddColumns, Cut, Filter, Sort
from odin_graph.query.nearest import NearestImages
from odin_graph.query.nodes import Field, Node, fields
from odin_graph.query.operator import Operator
from odin_graph.query.plan import (
    AllImages,
    Cypher,
    Keys,
    Members,
    Nearest,
    OrderBy,
    Plan,
    Representative,
    Slice,
    Step,
    Where,
    WithColumns,
)
from odin_graph.query.representative import RepresentativeImages
from odin_graph.query.scans import Given, ScanCypher, ScanImages, ScanKeys, ScanMembers
from odin_graph.query.scope import Scope
from odin_graph.query.snapshot import Snapshot

if TYPE_CHECKING:
    from odin_graph.stores import Stores


def physical(stores: Stores, plan: Plan) -> Operator:
    """The operators of a bound plan; the last step's is returned, the others are below it."""
    snapshot = Snapshot(stores, Scope(stores, plan), plan_fields(plan))
    top = _source(snapshot, plan)
    for step in plan.steps:
        top = _operator(snapshot, top, step)
    return top


def extension(stores: Stores, plan: Plan, answer: pa.Table, add: WithColumns) -> Operator:
    """The operators that add columns to a plan's answer, which is there already."""
    snapshot = Snapshot(stores, Scope(stores, plan), plan_fields(Plan(plan.source, (add,))))
    return AddColumns(snapshot, Given(snapshot, answer), add)


def plan_fields(plan: Plan) -> Iterator[Field]:
    """Every field that a plan reads, with repetitions."""
    for step in plan.steps:
        for node in _nodes(step):
            yield from fields(node)


def _nodes(step: Step) -> tuple[Node, ...]:
    match step:
        case Where(predicate):
            return (predicate,)
        case OrderBy(keys):
            return tuple(key.by for key in keys)
        case WithColumns(columns):
            return tuple(column.value for column in columns)
        case Representative():
            return tuple(node for node in (step.truth, step.predicted) if node is not None)
        case Slice() | Nearest():
            return ()
    assert_never(step)


def _source(snapshot: Snapshot, plan: Plan) -> Operator:
    match plan.source:
        case AllImages():
            return ScanImages(snapshot)
        case Members(dataset):
            return ScanMembers(snapshot, dataset)
        case Keys(keys):
            return ScanKeys(snapshot, keys)
        case Cypher():
            return ScanCypher(snapshot, plan.source)
    assert_never(plan.source)


def _operator(snapshot: Snapshot, below: Operator, step: Step) -> Operator:
    match step:
        case Where(predicate):
            return Filter(snapshot, below, predicate)
        case OrderBy(keys):
            return Sort(snapshot, below, keys)
        case Slice():
            return Cut(snapshot, below, step)
        case WithColumns():
            return AddColumns(snapshot, below, step)
        case Nearest():
            return NearestImages(snapshot, below, step)
        case Representative():
            return RepresentativeImages(snapshot, below, step)
    assert_never(step)
