"""The meaning of names in a query: binds each field of an expression to what it reads, and knows its type.

Binding makes a step's expression say exactly what it reads: ``F("label")`` over a data set becomes that version's
frozen label, ``exp.wrong`` names the version it was predicted over. It is idempotent, so that a plan from JSON is
checked by binding it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, assert_never

import pyarrow as pa

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.errors import ExpressionError, QueryError, UnknownNameError
from odin_graph.graph.kinds import kind_of
from odin_graph.query.expressions import types
from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    Field,
    FrozenLabel,
    ImageField,
    Node,
    PredictionField,
    Relation,
    SortKey,
    UnitAggregate,
    with_children,
)
from odin_graph.query.expressions.place import at_node
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.names import computed_fields, prediction_sets, relations
from odin_graph.query.names.kinds import fields_of
from odin_graph.query.names.prediction_sets import ReadySet
from odin_graph.query.names.spaces import bound_group, check_space
from odin_graph.query.plan.plan import Plan
from odin_graph.query.plan.spaces import Space
from odin_graph.query.units.units import check_aggregate
from odin_graph.schema.kinds import Kind

if TYPE_CHECKING:
    from odin_graph.graph.moment import Moment
    from odin_graph.stores import Stores

_MOST_SCHEMAS: Final = 1024
"""Plans whose columns are cached at one moment."""


class Scope:
    """The names that a step of a plan can use, over one open workspace."""

    def __init__(self, stores: Stores, plan: Plan, at: Moment | None = None) -> None:
        self.stores = stores
        self.dataset = plan.dataset
        self._at = at
        self._plan = plan
        self._chosen: dict[tuple[str, str], ReadySet] = {}

    @cached_property
    def moment(self) -> Moment:
        """The state of the graph that the names are looked up in."""
        return self._at or self.stores.graph.moment()

    @cached_property
    def kind(self) -> Kind:
        """What the rows are, before they are grouped."""
        return kind_of(self.moment, self._plan.kind)

    @cached_property
    def fields(self) -> dict[str, str]:
        """Every stored field of what the plan reads, ours and free metadata, with its type."""
        kind = self._plan.kind
        found = self.stores.columns.fields("Image", self.moment) if kind == "Image" else fields_of(self.moment, kind)
        return {name: str(type_) for name, type_ in found.items()}

    @cached_property
    def added(self) -> dict[str, str]:
        """The columns that the plan's steps add, with their types.

        Computed step by step from the longest beginning of the plan that is cached at this moment: a plan that grows by
        a step costs one step more.
        """
        steps, cache = self._plan.steps, self.moment.worked_out
        ids = tuple(map(id, (self._plan.source, *steps)))
        known = next((cache[ids[:end]] for end in range(len(ids), 1, -1) if ids[:end] in cache), None)
        found: dict[str, str] = {} if known is None else known[0]
        for position in range(0 if known is None else len(known[1].steps), len(steps)):
            found = steps[position].columns_after(self._before(position, found))
        if len(cache) >= _MOST_SCHEMAS:
            cache.clear()
        cache[ids] = found, self._plan  # the plan keeps its steps alive, so that no other step gets one of the ids
        return found

    def of(self, plan: Plan) -> Scope:
        """The names after another plan, at the same moment."""
        return Scope(self.stores, plan, self.moment)

    def _before(self, position: int, added: dict[str, str]) -> Scope:
        """The names that a step of the plan can use, given the columns that the steps before it add."""
        scope = self.of(replace(self._plan, steps=self._plan.steps[:position]))
        scope.added = added
        return scope

    def space(self, by: Space) -> Space:
        """A space, looked up and bound; raises as `check_space` does."""
        return check_space(self.stores, by)

    def predicted_over(self, experiment: str) -> set[str]:
        """The data set versions over which an experiment has predictions now."""
        return {ready.dataset for ready in prediction_sets.sets_of(self.stores.graph, experiment)}

    def value_type(self, node: Node | str) -> str:
        """The type of a bound expression, or a type itself."""
        return node if isinstance(node, str) else types.infer(node, self.type_of)

    def group_key(self, node: Node) -> Node:
        """Bind and check what groups are made by; raises as `predicate` does."""
        bound = self.value(node)
        if (found := types.infer(bound, self.type_of)).startswith("list["):
            raise ExpressionError(f"{spell(bound)} is a {found}, by which no groups are made: give one value an image.")
        return bound

    def aggregate(self, node: Node, keys: Mapping[Node, str]) -> Node:
        """Bind and check a column of groups: aggregates, constants and what the groups are made by.

        Args:
            node: The expression.
            keys: What the groups are made by, with its names.

        Raises:
            ExpressionError: A field is outside an aggregate, or an aggregate in another one.
        """
        bound = self._grouped(node, keys)
        types.infer(bound, self.in_groups(keys))
        return bound

    def predicate(self, node: Node) -> Node:
        """Bind and check a condition.

        Raises:
            UnknownNameError: A name does not exist; lists what does.
            ExpressionError: Types do not fit.
            QueryError: An experiment has no ready predictions over the data set.
        """
        bound = self.bind(node)
        types.check_predicate(bound, self.type_of)
        return bound

    def sort_key(self, key: SortKey) -> SortKey:
        """Bind and check a key of an order; raises as `predicate` does."""
        bound = replace(key, value=self.bind(key.value))
        types.check_sort_key(bound, self.type_of)
        return bound

    def value(self, node: Node) -> Node:
        """Bind and check an expression of any type; raises as `predicate` does."""
        bound = self.bind(node)
        types.infer(bound, self.type_of)
        return bound

    def bind(self, node: Node) -> Node:
        """The same expression, each field bound to what it reads."""
        with at_node(node):
            return self._bound(node)

    def _bound(self, node: Node) -> Node:
        self._check_of_images(node)
        match node:
            case ImageField(name):
                return self._field(node, name)
            case FrozenLabel(dataset):
                if dataset != self.dataset:
                    raise QueryError(
                        f"The query uses the labels frozen in {dataset!r}, but it does not read that data set."
                    )
                return node
            case PredictionField(experiment, dataset):
                return replace(node, dataset=self._over(node, experiment, dataset))
            case UnitAggregate(units):
                bound = replace(node, units=bound_group(self.stores, units))
                check_aggregate(bound)
                return bound
            case Relation():
                return relations.bind(self.stores, node)
            case Added(name):
                if name not in self.added:
                    raise UnknownNameError.of("column of an earlier step", name, self.added)
                return node
            case Aggregate():
                raise ExpressionError(
                    f"{spell(node)} is for a group: use it in group_by(...).agg(...), or in agg(...)."
                )
            case _:
                return with_children(node, self.bind)

    def type_of(self, field: Field) -> str:
        """The type of a bound field."""
        columns = self.stores.columns
        match field:
            case ImageField(name):
                return self.fields.get(name) or self._computed(name) or "null"
            case FrozenLabel(dataset):
                return types.of_arrow(self._label_type(dataset))
            case Relation() | PredictionField(_, _, "wrong"):
                return "bool"
            case PredictionField(_, _, "rank"):
                return "int"
            case PredictionField(_, _, "predicted"):
                predictions = columns.predictions(self.prediction_set(field).id, self.moment)
                return types.of_arrow(predictions.schema.field("predicted").type)
            case PredictionField() | UnitAggregate():
                return "float"
            case Added(name):
                return self.added[name]
            case Aggregate():
                return types.of_aggregate(field, self.type_of)
        assert_never(field)

    def prediction_set(self, field: PredictionField) -> ReadySet:
        """The prediction set that a bound field reads, the same throughout one execution."""
        if field.dataset is None:
            raise QueryError(f"exp.{field.name} is not bound to a data set.")
        key = (field.experiment, field.dataset)
        if key not in self._chosen:
            self._chosen[key] = prediction_sets.choose(self.moment, *key)
        return self._chosen[key]

    def class_position(self, field: PredictionField) -> int:
        """The position of the class of ``exp.probability(c)`` among the probabilities.

        Raises:
            UnknownNameError: The model has no such class.
            QueryError: The classes of the set are not known.
        """
        classes = self.prediction_set(field).classes
        if classes is None:
            raise QueryError(
                f"The classes of the probabilities of {field.experiment!r} are not known: its predictions were "
                "logged without classes. Log them again with classes=."
            )
        given = field.argument.python() if field.argument else None
        for position, name in enumerate(classes):
            if (type(name), name) == (type(given), given):  # True, 1 and "1" are three classes
                return position
        alike = [name for name in classes if str(name) == str(given)]
        remedy = f"The classes are of type {type(alike[0]).__name__}: give {alike[0]!r}." if alike else ""
        raise UnknownNameError.of(f"class of {field.experiment!r}", given, map(str, classes), remedy=remedy)

    def _check_of_images(self, node: Node) -> None:
        of_images = isinstance(node, FrozenLabel | PredictionField | UnitAggregate | Relation)
        if self._plan.grouped and of_images:
            raise ExpressionError(f"{spell(node)} is of an image, and the rows are groups: use it in agg().")
        if self._plan.kind != "Image" and of_images:
            raise QueryError(
                f"{spell(node)} is for images, not for a {self._plan.kind}: give its own fields, or using(images)."
            )

    def _grouped(self, node: Node, keys: Mapping[Node, str]) -> Node:
        if isinstance(node, Aggregate):
            if node.operand is None:
                return node
            operand = self.bind(node.operand)
            return replace(node, operand=types.counted(node.function, operand, self.type_of))
        if isinstance(node, ImageField | Added) and node.name in keys.values():
            return Added(node.name)
        if isinstance(node, Field):
            bound = self.bind(node)
            if bound in keys:
                return Added(keys[bound])
            raise ExpressionError(
                f"{spell(node)} has a value for each image of a group: aggregate it, as in {spell(node)}.mean(), or "
                "group by it."
            )
        return with_children(node, lambda child: self._grouped(child, keys))

    def in_groups(self, keys: Mapping[Node, str]) -> types.TypeOf:
        """The types of what a column of groups reads: aggregates, and the keys by their names."""
        of_keys = {name: self.value_type(key) for key, name in keys.items()}
        return lambda field: of_keys[field.name] if isinstance(field, Added) else self.type_of(field)

    def _check_rank(self, field: PredictionField) -> None:
        ready = self.prediction_set(field)
        if ready.classes is None or types.of_arrow(self._label_type(ready.dataset)).startswith("list["):
            raise QueryError(
                f"{field.experiment!r} has no rank of the truth over {ready.dataset!r}: that takes one label an image, "
                "and predictions that say their classes (log_predictions(probabilities=..., classes=...))."
            )

    def _label_type(self, dataset: str) -> pa.DataType:
        return self.stores.columns.members(dataset, self.moment).schema.field("label").type

    def _field(self, node: ImageField, name: str) -> Node:
        if self._plan.grouped and name not in self.added:
            raise UnknownNameError.of("column of the groups", name, self.added)
        if name in self.added:  # the later meaning of a name wins, as in SQL and data frames
            return Added(name)
        if name in self.fields:
            return FrozenLabel(self.dataset) if name == "label" and self.dataset else node
        if self._computed(name) is not None:
            return node
        kind = self._plan.kind
        if kind == "Experiment" and self._computed(f"params.{name}") is not None:
            return replace(node, name=f"params.{name}")  # its name in run(params=...)
        known = {**self.fields, **self.added, **computed_fields.types_of(self.stores, self.moment, kind)}
        raise UnknownNameError.of("image field" if kind == "Image" else f"field of {kind}", name, known)

    def _computed(self, name: str) -> str | None:
        """The type of a computed field; None if there is none of that name."""
        source = computed_fields.source_of(self._plan.kind, name)
        return None if source is None else source.types(self.stores, self.moment).get(name.partition(".")[2])

    def _over(self, field: PredictionField, experiment: str, dataset: str | None) -> str:
        over = dataset or self.dataset
        if over is None:
            known = sorted({ready_set.dataset for ready_set in prediction_sets.sets_of(self.moment, experiment)})
            elsewhere = f" It has predictions over {', '.join(known)}." if known else ""
            raise QueryError(
                f"Experiment {experiment!r} predicts over data sets, and this query reads none.{elsewhere} "
                f'Say which: exp.on("{known[0] if known else "mnist-test"}").{field.name}.'
            )
        version = over if over == self.dataset else resolve(self.stores, over)
        bound = replace(field, dataset=version)
        self.prediction_set(bound)
        if bound.name == "probability":
            self.class_position(bound)
        if bound.name == "rank":
            self._check_rank(bound)
        return version
