"""Makes physical operators of a logical plan, after rewriting it by the statistics of what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, assert_never

import pyarrow as pa

from odin_graph.query.expressions.nodes import Field, SortKey, UnitAggregate, UnitGroup, fields
from odin_graph.query.names.scope import Scope
from odin_graph.query.operators.column_steps import AddColumns, Choose, Cut, Filter, FirstOfEach, Sort
from odin_graph.query.operators.combining import CombineImages
from odin_graph.query.operators.drawing import Draw
from odin_graph.query.operators.from_vectors import AddFromVectors
from odin_graph.query.operators.grouping import GroupRows
from odin_graph.query.operators.nearest import NearestImages
from odin_graph.query.operators.operator import Operator
from odin_graph.query.operators.registered import ApplyRegistered
from odin_graph.query.operators.representative import RepresentativeImages
from odin_graph.query.operators.scans import (
    Given,
    ScanCypher,
    ScanImages,
    ScanKeys,
    ScanMembers,
    ScanRegistered,
    ScanThings,
)
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.operators.unit_steps import HighestByUnits, NearestByUnits
from odin_graph.query.operators.using import KeepUsing
from odin_graph.query.plan.plan import (
    AllImages,
    Combine,
    Cypher,
    Distinct,
    FromVectors,
    GroupBy,
    Keys,
    Members,
    Nearest,
    OrderBy,
    Plan,
    Registered,
    RegisteredStep,
    Representative,
    Sample,
    Select,
    Slice,
    Step,
    Things,
    Using,
    Where,
    WithColumns,
    nodes_of,
)
from odin_graph.query.planner import estimates
from odin_graph.query.planner.rewrite import rewritten

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores


def snapshot_of(
    stores: Stores, plan: Plan, at: Moment | None = None, add: WithColumns | None = None, *, exact: bool = False
) -> Snapshot:
    """The snapshot of what a bound plan, and columns added to its answer, read at a moment of the graph."""
    whole = plan if add is None else plan.then(add)
    return Snapshot(stores, Scope(stores, plan, at), plan_fields(whole), plan.kind, exact=exact)


def physical(snapshot: Snapshot, plan: Plan) -> Operator:
    """The operators of a bound plan; the last step's is returned, the others are below it."""
    return _physical(snapshot, plan)


def extension(snapshot: Snapshot, add: WithColumns) -> Callable[[pa.Table], pa.Table]:
    """Adds columns to parts of a plan's answer, all of one moment."""
    return lambda part: AddColumns(snapshot, Given(snapshot, part), add).run()


def plan_fields(plan: Plan) -> Iterator[Field]:
    """Every field that a plan reads, with repetitions."""
    for step in plan.steps:
        if isinstance(step, Combine):
            yield from plan_fields(step.other)
        for node in nodes_of(step):
            yield from fields(node)


def _physical(snapshot: Snapshot, plan: Plan) -> Operator:
    """Both plans of a set operation read one snapshot: one answer is of one moment."""
    plan = rewritten(plan, snapshot.known)
    top = _source(snapshot, plan)
    top.expected = estimates.of_source(plan.source, snapshot)
    for place, step in enumerate(plan.steps):
        below = top
        if (first := _first_by_units(plan.steps[place : place + 2])) is not None:
            top = HighestByUnits(snapshot, top, *first)
        elif isinstance(step, Combine):
            top = CombineImages(snapshot, top, step, _physical(snapshot, step.other))
        elif isinstance(step, Using):
            top = KeepUsing(snapshot, top, step, physical(_same(snapshot, step.images), step.images))
        else:
            top = _operator(snapshot, top, step)
        other = top.inputs[-1].expected if isinstance(step, Combine) else None
        top.expected = estimates.after(step, below.expected, snapshot.known, other)
    return top


def _same(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """The snapshot for another plan, at the same moment."""
    return snapshot_of(snapshot.stores, plan, snapshot.at, exact=snapshot.exact)


def _first_by_units(steps: Sequence[Step]) -> tuple[SortKey, int] | None:
    """The order and the number of an order by units that is cut: the other rows need not be ordered."""
    match steps:
        case (OrderBy((SortKey(UnitAggregate()) as key,)), Slice(start, stop, 1)) if stop and stop > 0 <= (start or 0):
            return key, stop
    return None


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
        case Registered():
            return ScanRegistered(snapshot, plan.source)
        case Things(kind):
            return ScanThings(snapshot, kind)
    assert_never(plan.source)


def _operator(snapshot: Snapshot, below: Operator, step: Step) -> Operator:  # noqa: C901 - one case a step
    match step:
        case Combine() | Using():
            raise AssertionError("made of two plans, above")
        case GroupBy():
            return GroupRows(snapshot, below, step)
        case Select():
            return Choose(snapshot, below, step)
        case Distinct():
            return FirstOfEach(snapshot, below, step)
        case Sample():
            return Draw(snapshot, below, step)
        case Where(predicate):
            return Filter(snapshot, below, predicate)
        case OrderBy(keys):
            return Sort(snapshot, below, keys)
        case Slice():
            return Cut(snapshot, below, step)
        case WithColumns():
            return AddColumns(snapshot, below, step)
        case Nearest(by=UnitGroup()):
            return NearestByUnits(snapshot, below, step)
        case Nearest():
            return NearestImages(snapshot, below, step)
        case FromVectors():
            return AddFromVectors(snapshot, below, step)
        case Representative():
            return RepresentativeImages(snapshot, below, step)
        case RegisteredStep():
            return ApplyRegistered(snapshot, below, step)
    assert_never(step)
