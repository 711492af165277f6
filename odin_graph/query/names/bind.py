"""Checks a step against the workspace when it is built, so that errors come where they are written."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, assert_never

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.neurons import distance
from odin_graph.query.expressions.expressions import as_node
from odin_graph.query.expressions.nodes import FrozenLabel, PredictionField, UnitGroup, check_size, check_text
from odin_graph.query.names import prediction_sets
from odin_graph.query.names.kinds import KINDS
from odin_graph.query.names.scope import Scope
from odin_graph.query.names.selection import SELECTIONS
from odin_graph.query.names.sources import check_source
from odin_graph.query.names.spaces import check_space
from odin_graph.query.plan.drawn import drawn
from odin_graph.query.plan.plan import (
    AllImages,
    Column,
    Combine,
    Cypher,
    Distinct,
    FromVectors,
    GroupBy,
    Keys,
    LayerOf,
    Members,
    Nearest,
    OrderBy,
    OutputColumn,
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
from odin_graph.query.plan.registered_step import built, method
from odin_graph.query.plan.vector_columns import VECTOR_COLUMNS
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType
from odin_graph.vectors.graph import check_distance
from odin_graph.vectors.metric import check_metric

if TYPE_CHECKING:
    from odin_graph.stores import Stores

_WORDS = {
    Nearest: "nearest",
    FromVectors: "cluster, near_duplicates, outliers or uniqueness",
    Representative: "representative",
    Sample: "sample",
    GroupBy: "group_by",
    Combine: "union, intersection or difference",
    Using: "using",
}


def bind_plan(stores: Stores, plan: Plan) -> Plan:
    """A plan from elsewhere (JSON), checked and bound step by step as if it were written here."""
    match plan.source:
        case Members(dataset):
            bound = Plan(Members(resolve(stores, dataset)))
        case AllImages() | Keys() | Cypher() | Things():
            bound = Plan(plan.source)
        case Registered():
            check_source(plan.source)
            bound = Plan(plan.source)
        case _:
            assert_never(plan.source)
    for step in plan.steps:
        bound = bound.then(bind_step(stores, bound, step))
    return bound


def bind_step(stores: Stores, plan: Plan, step: Step) -> Step:
    """The step, its names bound to what they read after the plan so far.

    Raises:
        QueryError: A name, a type or a number does not fit; names it, says why and what to do. The step is drawn in a
            note of the error.
    """
    moment = stores.graph.held_moment
    if moment is not None:
        # What fitted the last known state of the graph fits this one, or its run reports an error: no round trip.
        with suppress(QueryError, RecursionError):
            return _bound(Scope(stores, plan, moment), plan, step)
    try:
        with drawn(plan, step):
            return _bound(Scope(stores, plan), plan, step)
    except RecursionError as error:
        raise QueryError("The query is nested too deeply: give parts of it names by with_columns().") from error


def _bound(scope: Scope, plan: Plan, step: Step) -> Step:  # noqa: C901 - one case a step
    stores = scope.stores
    word = method(step.name) if isinstance(step, RegisteredStep) else _WORDS.get(type(step), "")
    if plan.grouped and not isinstance(step, Where | OrderBy | Slice | WithColumns | Select | Distinct):
        raise QueryError(
            f"After group_by() the rows are groups, no images: {word}() comes before it, and where(), "
            "order_by(), limit(), with_columns(), select() and distinct() after it."
        )
    if plan.kind != "Image" and isinstance(step, Nearest | FromVectors | Representative | RegisteredStep):
        raise QueryError(f"{word}() is of images, and the query is of {plan.kind}s.")
    for node in nodes_of(step):
        check_size(node)
    match step:
        case Where(predicate):
            return Where(scope.predicate(predicate))
        case OrderBy(keys):
            if not keys:
                raise QueryError('order_by() takes at least one key, as in order_by(F("age").desc()).')
            return OrderBy(tuple(map(scope.sort_key, keys)))
        case Slice():
            return _checked_slice(step)
        case WithColumns(columns):
            return bind_columns(scope, columns)
        case Select(columns):
            return Select(bind_columns(scope, columns, "select").columns)
        case Distinct(by):
            return Distinct(tuple(map(scope.group_key, by)))
        case Sample():
            return step
        case GroupBy():
            return _bind_group_by(scope, step)
        case Combine():
            return _bind_combine(stores, scope, step, plan.kind)
        case Using():
            return _bind_using(stores, step, plan.kind)
        case Nearest():
            return _bind_nearest(stores, step)
        case FromVectors():
            return _bind_from_vectors(stores, scope, step)
        case Representative():
            return _bind_representative(stores, scope, step, plan.dataset)
        case RegisteredStep():
            return _bind_registered(scope, step)
    assert_never(step)


def bind_columns(scope: Scope, columns: tuple[Column, ...], step: str = "with_columns") -> WithColumns:
    """Columns, their expressions bound; raises as `bind_step` does."""
    _check_names(columns, step)
    return WithColumns(tuple(Column(column.name, scope.value(column.value)) for column in columns))


def _checked_slice(step: Slice) -> Slice:
    if step.stride < 1:
        raise QueryError(
            f"A slice of a query goes forward: its stride is at least 1, not {step.stride}. Order by .desc()."
        )
    return step


def _bind_group_by(scope: Scope, step: GroupBy) -> GroupBy:
    if not step.aggregates:
        raise QueryError("agg() takes at least one column, as in agg(n=og.count(), share=exp.wrong.mean()).")
    _check_names((*step.by, *step.aggregates), "group_by")
    by = tuple(Column(column.name, scope.group_key(column.value)) for column in step.by)
    names = {column.value: column.name for column in by}
    aggregates = tuple(Column(column.name, scope.aggregate(column.value, names)) for column in step.aggregates)
    return GroupBy(by, aggregates)


def _bind_combine(stores: Stores, scope: Scope, step: Combine, kind: str) -> Combine:
    other = bind_plan(stores, step.other)
    if other.grouped or other.kind != kind:
        rows = "groups" if other.grouped else _plural(other.kind)
        raise QueryError(f"{step.how}() takes a query of {_plural(kind)}, and the other one's rows are {rows}.")
    if step.how == "union":
        theirs = Scope(stores, other).added
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


def _check_names(columns: tuple[Column, ...], step: str) -> None:
    twice = [name for name, times in Counter(column.name for column in columns).items() if times > 1]
    if twice or not columns:
        raise QueryError(f"Two columns are named {twice[0]!r}." if twice else f"{step}() takes at least one column.")
    for column in columns:
        _check_name(column.name)


def _check_name(name: str) -> None:
    if not name:
        raise QueryError("A column has no name: give it one.")
    check_text(name)
    if name == "key":
        raise QueryError("Every result has the column 'key' already: give yours another name.")


def _bind_nearest(stores: Stores, step: Nearest) -> Nearest:
    _check_k("nearest", step.k)
    examples = (*step.like, *step.unlike)
    if not step.like or any((example.image is None) == (example.vector is None) for example in examples):
        raise QueryError("nearest() takes at least one example, each of them an image or a vector.")
    for example in examples:
        if example.vector is not None and not (example.vector and all(map(isfinite, example.vector))):
            raise QueryError("nearest() takes a vector of finite numbers.")
    if isinstance(step.by, UnitGroup):
        _check_by_units(step, step.by)
    else:
        check_metric(step.metric)
        if step.weights is not None:
            raise QueryError("weights= are of units: nearest(image, by=layer.units[[3, 17]], weights=[1, 2], k=20).")
    if step.recall is not None and not 0 < step.recall <= 1:
        raise QueryError(
            f"recall= is the share of the k nearest that is enough, above 0 and at most 1, not {step.recall!r}."
        )
    images = sorted({example.image for example in examples if example.image is not None})
    if images:
        _check_images(stores, images)
    return replace(step, by=check_space(stores, step.by))


def _check_by_units(step: Nearest, group: UnitGroup) -> None:
    if step.recall is not None:
        raise QueryError("recall= is of whole vectors: the nearest by units are always found exactly.")
    units = max(1, len(group.numbers))
    if step.weights is not None and len(step.weights) != units:
        raise QueryError(f"There are {units} units, and {len(step.weights)} weights: give one each.")
    distance(step.metric, [0.0] * units, step.weights)


def _bind_from_vectors(stores: Stores, scope: Scope, step: FromVectors) -> FromVectors:
    VECTOR_COLUMNS.get(step.function).check(step.settings)
    check_distance(step.metric)
    _check_name(step.name)
    if step.name in scope.added:
        raise QueryError(f"The result has a column {step.name!r} already: give the new one another with name=.")
    return replace(step, by=check_space(stores, step.by))


def _bind_registered(scope: Scope, step: RegisteredStep) -> RegisteredStep:
    built_step = built(step)
    output = built_step.output()
    needs = tuple(Column(name, as_node(value)) for name, value in built_step.needs().items())
    for name, type_ in output.items():
        _check_name(name)
        if name in scope.added:
            raise QueryError(
                f"The result has a column {name!r} already, and {method(step.name)}() adds one of that name."
            )
        if type_ not in tuple(FieldType):
            raise UnknownNameError.of(f"type of a column ({name!r} of the query step {step.name!r})", type_, FieldType)
    if taken := [column.name for column in needs if column.name == "key" or column.name in scope.added]:
        raise QueryError(
            f"{method(step.name)}() reads what it calls {taken[0]!r}, and the images have such a column already."
        )
    bound = bind_columns(scope, needs, method(step.name)).columns if needs else ()
    return replace(step, needs=bound, output=tuple(OutputColumn(*column) for column in output.items()))


def _check_images(stores: Stores, keys: list[int]) -> None:
    rows = stores.graph.read(
        f"UNWIND $keys AS key MATCH (i:Image {{key: key}}) WHERE {alive('Image', 'i')} RETURN i.key AS key",
        {"keys": keys},
    )
    if missing := set(keys) - {row["key"] for row in rows}:
        raise UnknownNameError(f"There is no image of key {min(missing)}: it may have been deleted.")


def _bind_representative(stores: Stores, scope: Scope, step: Representative, dataset: str | None) -> Representative:
    _check_k("representative", step.k)
    if step.method not in SELECTIONS:
        raise UnknownNameError.of("selection method", step.method, SELECTIONS)
    by = check_space(stores, step.by)
    step = replace(step, by=by)
    if step.truth is not None or step.predicted is not None:
        if step.truth is None or step.predicted is None:
            raise QueryError("A confused pair is a truth and a prediction: give both or none.")
        return replace(step, truth=scope.value(step.truth), predicted=scope.value(step.predicted))
    if dataset is None or not isinstance(by, LayerOf):
        return step  # no experiment has predictions for these images: one group
    if dataset not in {ready.dataset for ready in prediction_sets.sets_of(stores.graph, by.experiment)}:
        return step
    predicted = scope.value(PredictionField(by.experiment, dataset, "predicted"))
    return replace(step, truth=FrozenLabel(dataset), predicted=predicted)


def _check_k(step: str, k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError(f"{step}() takes how many images it gives, at least 1, not {k!r:.80}.")
