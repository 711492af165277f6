"""A whole query as one Cypher statement, where it has that form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.cypher.expression import Names, compile_expression, sort_texts
from odin_graph.query.cypher.group_statement import group_text
from odin_graph.query.expressions.nodes import Field, ImageField, PredictionField, SortKey
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.names.cypher_source import parameters
from odin_graph.query.names.kinds import KINDS
from odin_graph.query.names.prediction_sets import ReadySet
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan, Registered, Source, Things
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.schema.kinds import alive


@dataclass(frozen=True, slots=True)
class Statement:
    """A Cypher statement with its parameters: ``db.cypher(statement.text, **statement.parameters)`` runs it."""

    text: str
    parameters: dict[str, Any]

    def __str__(self) -> str:
        given = "".join(f"\n// ${name} = {value!r}" for name, value in self.parameters.items())
        return f"{self.text}{given}"


class Meanings(Protocol):
    """The meaning of a plan's names: a `Scope`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Every stored field of what the plan reads, with its type."""

    def prediction_set(self, field: PredictionField) -> ReadySet:
        """The prediction set that a bound field reads."""

    def type_of(self, field: Field) -> str:
        """The type of a bound field."""


def to_cypher(plan: Plan, scope: Meanings) -> Statement:
    """One statement that returns the ``id`` of what a bound plan selects, of images the ``key`` as well.

    Args:
        plan: The bound plan.
        scope: The meaning of its names.

    Raises:
        QueryError: A part has no form in Cypher; names it and says why.
    """
    if isinstance(plan.source, Cypher):
        if plan.steps:
            raise QueryError(
                "The steps over images(cypher=...) have no form in Cypher: their source is a statement of its own. "
                "Write the conditions into it, or run the query."
            )
        return Statement(plan.source.text, parameters(plan.source))
    return _Writer(plan, scope).statement()


class _Writer:
    def __init__(self, plan: Plan, scope: Meanings) -> None:
        self._plan = plan
        self._kind = KINDS.get(plan.kind)
        self._scope = scope
        self._names = Names(links=self._kind.links if self._kind is not None else {}, type_of=self._scope.type_of)
        self._columns: list[str] = []

    def statement(self) -> Statement:
        lines = self._source(self._plan.source)
        lines.append(f"WHERE {alive(self._kind.label if self._kind is not None else 'Image', 'i')}")
        lines += self._predictions()
        order: tuple[SortKey, ...] | None = None
        last = ["i.key AS key"] if self._kind is None else []
        first = ["i.id AS id", *last]
        for place, step in enumerate(self._plan.steps):
            match step:
                case GroupBy():
                    text = group_text(lines, step, self._plan.steps[place + 1 :], self._names)
                    return Statement(text, self._names.parameters)
                case Where(predicate):
                    lines += [f"WITH {self._carried()}", f"WHERE {compile_expression(predicate, self._names)}"]
                case OrderBy(keys):
                    order = keys
                case Slice(start, stop, stride):
                    lines += [f"WITH {self._carried()}", *self._cut(order, start or 0, stop, stride)]
                case WithColumns(columns):
                    for column in columns:
                        self._columns.append(
                            f"{compile_expression(column.value, self._names)} AS {quoted(column.name)}"
                        )
                case Select(columns):
                    self._columns = [f"{compile_expression(c.value, self._names)} AS {quoted(c.name)}" for c in columns]
                    first = last
                case _:
                    raise QueryError(f"{step.no_cypher} Run the query.")
        lines.append(f"RETURN {', '.join([*first, *self._columns])}")
        lines.append(f"ORDER BY {self._order(order)}")
        return Statement("\n".join(lines), self._names.parameters)

    def _source(self, source: Source) -> list[str]:
        match source:
            case AllImages():
                return ["MATCH (i:Image)"]
            case Members(dataset):
                return [f"MATCH (:Dataset {{id: {self._names.parameter(dataset)}}})-[:HAD_MEMBER]->(i:Image)"]
            case Keys(keys):
                return [f"UNWIND {self._names.parameter(list(keys))} AS asked", "MATCH (i:Image {key: asked})"]
            case Things(kind):
                return [f"MATCH (i:{kind})"]
            case Registered(name):
                raise QueryError(
                    f"The source {name!r} has no form in Cypher: it finds images as a table. Run the query."
                )
            case Cypher():
                raise AssertionError("answered before")
        assert_never(source)

    def _predictions(self) -> list[str]:
        lines = []
        for field in self._plan.fields():
            if isinstance(field, ImageField) and field.name not in self._scope.fields:
                raise QueryError(f"{spell(field)} has no form in Cypher: it is calculated. Run the query.")
            if isinstance(field, PredictionField) and field.dataset is not None:
                key = (field.experiment, field.dataset)
                if key not in self._names.predictions:
                    variable = self._names.prediction(*key)
                    ready_set = self._scope.prediction_set(field)
                    if not ready_set.nodes:
                        raise QueryError(
                            f"{spell(field)} has no form in Cypher: {ready_set.id} was stored without nodes. "
                            "Predict or log them again with nodes=True."
                        )
                    set_id = self._names.parameter(ready_set.id)
                    lines.append(
                        f"OPTIONAL MATCH (i)<-[:OF]-({variable}:Prediction)"
                        f"-[:PART_OF]->(:PredictionSet {{id: {set_id}, state: 'ready'}})"
                    )
        return lines

    def _cut(self, order: tuple[SortKey, ...] | None, start: int, stop: int | None, stride: int) -> list[str]:
        if start < 0 or (stop or 0) < 0 or stride != 1:
            raise QueryError("A slice from the end, or with a stride, has no form in Cypher. Run the query.")
        if order is None and not isinstance(self._plan.source, AllImages | Things):
            raise QueryError(
                "A slice in the source's own order has no form in Cypher: that order is an array. "
                'Give it an order, as in .order_by(F("id")).'
            )
        lines = [f"ORDER BY {self._order(order)}", f"SKIP {self._names.parameter(start)}"]
        return lines if stop is None else [*lines, f"LIMIT {self._names.parameter(max(stop - start, 0))}"]

    def _order(self, order: tuple[SortKey, ...] | None) -> str:
        return ", ".join([*sort_texts(order or (), self._names), self._kind.order if self._kind else "i.key"])

    def _carried(self) -> str:
        return ", ".join(["i", *self._names.predictions.values()])
