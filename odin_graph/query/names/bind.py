"""Checks a step against the workspace when it is built, so that errors come where they are written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import check_size
from odin_graph.query.names.kinds import KINDS
from odin_graph.query.names.scope import Scope
from odin_graph.query.names.sources import check_source
from odin_graph.query.plan.drawn import drawn
from odin_graph.query.plan.plan import Combine, Members, Plan, Registered, Step, Using

if TYPE_CHECKING:
    from odin_graph.stores import Stores


def bind_plan(stores: Stores, plan: Plan) -> Plan:
    """A plan from elsewhere (JSON), checked and bound step by step as if it were written here."""
    source = plan.source
    if isinstance(source, Members):
        source = Members(resolve(stores, source.dataset))
    elif isinstance(source, Registered):
        check_source(source)
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
        raise QueryError(f"{step.word}() is of images, and the query is of {plan.kind}s.")
    for node in step.nodes():
        check_size(node)
    match step:
        case Combine():
            return _bind_combine(scope, step, plan.kind)
        case Using():
            return _bind_using(scope.stores, step, plan.kind)
        case _:
            return step.bind(scope)


def _bind_combine(scope: Scope, step: Combine, kind: str) -> Combine:
    other = bind_plan(scope.stores, step.other)
    if other.grouped or other.kind != kind:
        rows = "groups" if other.grouped else _plural(other.kind)
        raise QueryError(f"{step.how}() takes a query of {_plural(kind)}, and the other one's rows are {rows}.")
    if step.how == "union":
        theirs = Scope(scope.stores, other).added
        for name in scope.added.keys() & theirs.keys():
            if {scope.added[name], theirs[name]} > {"null"} or scope.added[name] == theirs[name]:
                continue
            raise QueryError(
                f"The column {name!r} is {scope.added[name]} in one query and {theirs[name]} in the other: give one of "
                "them another name."
            )
    return replace(step, other=other)


def _bind_using(stores: Stores, step: Using, kind: str) -> Using:
    if kind == "Image" or not KINDS[kind].datasets:
        known = ", ".join(name for name, entry in KINDS.items() if entry.datasets)
        raise QueryError(f"using() keeps what used images: {known}. The query is of {_plural(kind)}.")
    images = bind_plan(stores, step.images)
    if images.grouped or images.kind != "Image":
        raise QueryError("using() takes a query of images.")
    return replace(step, images=images)


def _plural(kind: str) -> str:
    return "images" if kind == "Image" else f"{kind}s"
