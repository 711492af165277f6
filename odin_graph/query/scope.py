"""What names mean in one query: binds each field of an expression to what it reads, and knows its type.

Binding makes a step's expression say exactly what it reads: ``F("label")`` over a data set becomes that version's
frozen label, ``exp.wrong`` names the version it was predicted over. It is idempotent, so that a plan from JSON is
checked by binding it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from odin_graph.catalog.datasets import resolve
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query import prediction_sets, types
from odin_graph.query.nodes import (
    Arithmetic,
    Both,
    Compare,
    Either,
    Field,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    PredictionField,
    SortKey,
    Text,
    Value,
)
from odin_graph.query.plan import Plan
from odin_graph.query.prediction_sets import ReadySet

if TYPE_CHECKING:
    from odin_graph.stores import Stores


class Scope:
    """The names that a step of a plan can use, over one open workspace."""

    def __init__(self, stores: Stores, plan: Plan) -> None:
        self._stores = stores
        self._dataset = plan.dataset
        self._chosen: dict[tuple[str, str], ReadySet] = {}

    @cached_property
    def image_fields(self) -> dict[str, str]:
        """Every image field there is, ours and free metadata, with its type."""
        return {name: str(type_) for name, type_ in self._stores.columns.fields("Image").items()}

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

    def bind(self, node: Node) -> Node:  # noqa: C901 - one case a node
        """The same expression, each field bound to what it reads."""
        bind: Callable[[Node], Node] = self.bind
        match node:
            case Value():
                return node
            case ImageField(name):
                if name not in self.image_fields:
                    raise UnknownNameError.of("image field", name, self.image_fields)
                return FrozenLabel(self._dataset) if name == "label" and self._dataset else node
            case FrozenLabel(dataset):
                if dataset != self._dataset:
                    raise QueryError(
                        f"The query uses the labels frozen in {dataset!r}, but it does not read that data set."
                    )
                return node
            case PredictionField(experiment, dataset):
                return replace(node, dataset=self._over(node, experiment, dataset))
            case Compare(op, left, right):
                return Compare(op, bind(left), bind(right))
            case Arithmetic(op, left, right):
                return Arithmetic(op, bind(left), bind(right))
            case Both(operands):
                return Both(tuple(map(bind, operands)))
            case Either(operands):
                return Either(tuple(map(bind, operands)))
            case Not(operand):
                return Not(bind(operand))
            case IsIn(operand, values):
                return IsIn(bind(operand), values)
            case IsNull(operand):
                return IsNull(bind(operand))
            case Text(op, operand, pattern):
                return Text(op, bind(operand), pattern)
        assert_never(node)

    def type_of(self, field: Field) -> str:
        """The type of a bound field."""
        columns = self._stores.columns
        match field:
            case ImageField(name):
                return self.image_fields[name]
            case FrozenLabel(dataset):
                return types.of_arrow(columns.members(dataset).schema.field("label").type)
            case PredictionField(_, _, "wrong"):
                return "bool"
            case PredictionField(_, _, "predicted"):
                return types.of_arrow(columns.predictions(self.prediction_set(field).id).schema.field("predicted").type)
            case PredictionField():
                return "float"
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
        return version
