"""Checks a step against the workspace when it is built, so that errors come where they are written."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.errors import QueryError
from odin_graph.graph.kinds import kind_of
from odin_graph.query.expressions.nodes import check_size
from odin_graph.query.names.scope import Scope
from odin_graph.query.names.sources import check_source
from odin_graph.query.plan.drawn import drawn
from odin_graph.query.plan.plan import Members, Plan, Registered, Step, Things

if TYPE_CHECKING:
    from odin_graph.stores import Stores


def bind_plan(stores: Stores, plan: Plan) -> Plan:
    """A plan from elsewhere (JSON), checked and bound step by step as if it were written here."""
    source = plan.source
    if isinstance(source, Members):
        source = Members(resolve(stores, source.dataset))
    elif isinstance(source, Registered):
        check_source(source)
    elif isinstance(source, Things):
        kind_of(stores.graph, source.kind)
    bound = Plan(source)
    for step in plan.steps:
        bound = bound.then(bind_step(stores, bound, step))
    return bound


def bind_step(stores: Stores, plan: Plan, step: Step) -> Step:
    """The step, its names bound to what they read after the plan so far.

    Raises:
        QueryError: A name, a type or a number does not fit; names it, says why and what to do. The step is drawn in a
            note of the error.
    """
    moment = stores.graph.last_moment
    if moment is not None:
        # What fitted the last known state of the graph fits this one, or its run reports an error: no round trip.
        with suppress(QueryError, RecursionError):
            return _bound(Scope(stores, plan, moment), plan, step)
    try:
        with drawn(plan, step):
            return _bound(Scope(stores, plan), plan, step)
    except RecursionError as error:
        raise QueryError("The query is nested too deeply: give parts of it names by with_columns().") from error


def _bound(scope: Scope, plan: Plan, step: Step) -> Step:
    if plan.grouped and not step.on_groups:
        raise QueryError(
            f"After group_by() the rows are groups, no images: {step.word}() comes before it, and where(), "
            "order_by(), limit(), with_columns(), select() and distinct() after it."
        )
    if plan.kind != "Image" and not step.on_things:
        raise QueryError(f"{step.word}() is of images, and the query is of {scope.kind.plural}.")
    for node in step.nodes():
        check_size(node)
    if step.inner is not None:
        step = step.with_inner(bind_plan(scope.stores, step.inner))
    return step.bind(scope)
