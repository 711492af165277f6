"""Makes physical operators of a logical plan, after rewriting it by the statistics of what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, assert_never

import pyarrow as pa

from odin_graph.query.expressions.nodes import SortKey, UnitAggregate, UnitGroup
from odin_graph.query.names.scope import Scope
from odin_graph.query.operators.combining import CombineImages
from odin_graph.query.operators.nearest import NearestImages
from odin_graph.query.operators.operator import Apply, Operator
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
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan, Registered, Step, Things
from odin_graph.query.plan.steps.combine import Combine
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.using import Using
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.query.planner.rewrite import rewritten

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores


def snapshot_of(
    stores: Stores, plan: Plan, at: Moment | None = None, add: WithColumns | None = None, *, exact: bool = False
) -> Snapshot:
    """The snapshot of what a bound plan, and columns added to its answer, read at a moment of the graph."""
    whole = plan if add is None else plan.then(add)
    return Snapshot(stores, Scope(stores, plan, at), whole.fields(), plan.kind, exact=exact)


def extension(snapshot: Snapshot, add: WithColumns) -> Callable[[pa.Table], pa.Table]:
    """Adds columns to parts of a plan's answer, all of one moment."""
    return lambda part: Apply(snapshot, Given(snapshot, part), add).run()


def physical(snapshot: Snapshot, plan: Plan) -> Operator:
    """The operators of a bound plan; the last step's is returned, the others are below it.

    Both plans of a set operation read one snapshot: one answer is of one moment.
    """
    plan = rewritten(plan, snapshot.known)
    top = _source(snapshot, plan)
    for place, step in enumerate(plan.steps):
        below = top
        if (first := _first_by_units(plan.steps[place : place + 2])) is not None:
            top = HighestByUnits(snapshot, below, *first)
        else:
            top = _operator(snapshot, below, step)
        if below.expected is not None:
            top.expected = step.estimate(below.expected, snapshot.known)
            if isinstance(step, Combine) and step.how == "union":
                top.expected += top.inputs[-1].expected or 0.0
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


def _operator(snapshot: Snapshot, below: Operator, step: Step) -> Operator:
    match step:
        case Combine():
            return CombineImages(snapshot, below, step, physical(snapshot, step.other))
        case Using():
            return KeepUsing(snapshot, below, step, physical(_same(snapshot, step.images), step.images))
        case Nearest(by=UnitGroup()):
            return NearestByUnits(snapshot, below, step)
        case Nearest():
            return NearestImages(snapshot, below, step)
        case _:
            return Apply(snapshot, below, step)
