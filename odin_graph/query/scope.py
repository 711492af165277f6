"""What names mean in one query: binds each field of an expression to what it reads, and knows its type.

Binding makes a step's expression say exactly what it reads: ``F("label")`` over a data set becomes that version's
frozen label, ``exp.wrong`` names the version it was predicted over. It is idempotent, so that a plan from JSON is
checked by binding it again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

import pyarrow as pa

from odin_graph.catalog.datasets import resolve
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query import prediction_sets, relations, types
from odin_graph.query.nodes import (
    Added,
    Field,
    FrozenLabel,
    ImageField,
    Node,
    PredictionField,
    Relation,
    SortKey,
    with_children,
)
from odin_graph.query.plan import Plan, added_by
from odin_graph.query.prediction_sets import ReadySet

if TYPE_CHECKING:
    from odin_graph.stores import Stores


class Scope:
    """The names that a step of a plan can use, over one open workspace."""

    def __init__(self, stores: Stores, plan: Plan) -> None:
        self._stores = stores
        self._plan = plan
        self._dataset = plan.dataset
        self._chosen: dict[tuple[str, str], ReadySet] = {}

    @cached_property
    def image_fields(self) -> dict[str, str]:
        """Every image field there is, ours and free metadata, with its type."""
        return {name: str(type_) for name, type_ in self._stores.columns.fields("Image").items()}

    @cached_property
    def added(self) -> dict[str, str]:
        """The columns that the plan's steps add, with their types."""
        found: dict[str, str] = {}
        for position, step in enumerate(self._plan.steps):
            before = Scope(self._stores, replace(self._plan, steps=self._plan.steps[:position]))
            found |= {name: before.value_type(node) for name, node in added_by(step)}
        return found

    def value_type(self, node: Node | str) -> str:
        """The type of a bound expression, or a type itself."""
        return node if isinstance(node, str) else types.infer(node, self.type_of)

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
        bound = replace(key, by=self.bind(key.by))
        types.check_sort_key(bound, self.type_of)
        return bound

    def value(self, node: Node) -> Node:
        """Bind and check an expression of any type; raises as `predicate` does."""
        bound = self.bind(node)
        types.infer(bound, self.type_of)
        return bound

    def bind(self, node: Node) -> Node:
        """The same expression, each field bound to what it reads."""
        match node:
            case ImageField(name):
                return self._field(node, name)
            case FrozenLabel(dataset):
                if dataset != self._dataset:
                    raise QueryError(
                        f"The query uses the labels frozen in {dataset!r}, but it does not read that data set."
                    )
                return node
            case PredictionField(experiment, dataset):
                return replace(node, dataset=self._over(node, experiment, dataset))
            case Relation():
                return relations.bind(self._stores, node)
            case Added(name):
                if name not in self.added:
                    raise UnknownNameError.of("column of an earlier step", name, self.added)
                return node
            case _:
                return with_children(node, self.bind)

    def type_of(self, field: Field) -> str:
        """The type of a bound field."""
        columns = self._stores.columns
        match field:
            case ImageField(name):
                return self.image_fields[name]
            case FrozenLabel(dataset):
                return types.of_arrow(self._label_type(dataset))
            case Relation() | PredictionField(_, _, "wrong"):
                return "bool"
            case PredictionField(_, _, "rank"):
                return "int"
            case PredictionField(_, _, "predicted"):
                return types.of_arrow(columns.predictions(self.prediction_set(field).id).schema.field("predicted").type)
            case PredictionField():
                return "float"
            case Added(name):
                return self.added[name]
        assert_never(field)

    def prediction_set(self, field: PredictionField) -> ReadySet:
        """The prediction set that a bound field reads, the same throughout one execution."""
        if field.dataset is None:
            raise QueryError(f"exp.{field.name} is not bound to a data set.")
        asked = (field.experiment, field.dataset)
        if asked not in self._chosen:
            self._chosen[asked] = prediction_sets.choose(self._stores.graph, *asked)
        return self._chosen[asked]

    def class_position(self, field: PredictionField) -> int:
        """Where the class of ``exp.probability(c)`` stands among the probabilities.

        Raises:
            UnknownNameError: The model has no such class.
            QueryError: The set does not say its classes.
        """
        classes = self.prediction_set(field).classes
        if classes is None:
            raise QueryError(
                f"Nothing says which classes the probabilities of {field.experiment!r} are of: its predictions were "
                "logged without. Log them again with classes=."
            )
        said = str(field.argument.value) if field.argument else ""
        if said not in classes:
            raise UnknownNameError.of(f"class of {field.experiment!r}", said, classes)
        return classes.index(said)

    def _check_rank(self, field: PredictionField) -> None:
        held = self.prediction_set(field)
        if held.classes is None or types.of_arrow(self._label_type(held.dataset)).startswith("list["):
            raise QueryError(
                f"{field.experiment!r} has no rank of the truth over {held.dataset!r}: that takes one label an image, "
                "and predictions that say their classes (log_predictions(probabilities=..., classes=...))."
            )

    def _label_type(self, dataset: str) -> pa.DataType:
        return self._stores.columns.members(dataset).schema.field("label").type

    def _field(self, node: ImageField, name: str) -> Node:
        if name in self.added:  # the later meaning of a name is the one that stands, as in SQL and data frames
            return Added(name)
        if name not in self.image_fields:
            raise UnknownNameError.of("image field", name, {**self.image_fields, **self.added})
        return FrozenLabel(self._dataset) if name == "label" and self._dataset else node

    def _over(self, field: PredictionField, experiment: str, dataset: str | None) -> str:
        over = dataset or self._dataset
        if over is None:
            known = sorted({held.dataset for held in prediction_sets.sets_of(self._stores.graph, experiment)})
            there = f" It has predictions over {', '.join(known)}." if known else ""
            raise QueryError(
                f"Experiment {experiment!r} predicts over data sets, and this query reads none.{there} "
                f'Say which: exp.on("{known[0] if known else "mnist-test"}").{field.name}.'
            )
        version = over if over == self._dataset else resolve(self._stores, over)
        bound = replace(field, dataset=version)
        self.prediction_set(bound)
        if bound.name == "probability":
            self.class_position(bound)
        if bound.name == "rank":
            self._check_rank(bound)
        return version
