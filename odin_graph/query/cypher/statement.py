"""A whole query as one Cypher statement, where it has that form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.cypher.expression import Names, compile_expression, sort_texts
from odin_graph.query.cypher.group_statement import GroupText, bounds_text
from odin_graph.query.expressions.nodes import Field, ImageField, Node, PredictionField, SortKey
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.names.cypher_source import parameters
from odin_graph.query.names.prediction_sets import ReadySet
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.cypher_text import CypherText
from odin_graph.query.plan.plan import AllImages, Cypher, Keys, Members, Plan, Registered, Source, Things
from odin_graph.schema.kinds import Kind, alive


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
    def kind(self) -> Kind:
        """What the rows are, before they are grouped."""

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
    rows = RowText(plan, scope)
    text: CypherText = rows
    for step in plan.steps:
        text = step.cypher(text)
    return Statement(text.text(), rows.parameters)


class RowText(CypherText):
    """The Cypher of a plan whose rows are images, or things of another kind."""

    def __init__(self, plan: Plan, scope: Meanings) -> None:
        self._plan = plan
        self._kind = scope.kind
        self._scope = scope
        self._names = Names(links=self._kind.link_patterns, type_of=self._scope.type_of)
        self._order: tuple[SortKey, ...] | None = None
        self._key = ["i.key AS key"] if self._kind.label == "Image" else []
        self._first = ["i.id AS id", *self._key]
        self._columns: list[str] = []
        self._lines = self._source(self._plan.source)
        self._lines.append(f"WHERE {self._kind.alive('i')}")
        self._lines += self._predictions()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the statement."""
        return self._names.parameters

    def keep(self, predicate: Node) -> None:
        """See `CypherText`."""
        self._lines += [f"WITH {self._carried()}", f"WHERE {compile_expression(predicate, self._names)}"]

    def order_by(self, keys: Sequence[SortKey]) -> None:
        """See `CypherText`; the last order counts, since the key decides between ties."""
        self._order = tuple(keys)

    def cut(self, start: int | None, stop: int | None, stride: int) -> None:
        """See `CypherText`."""
        bounds = bounds_text(start, stop, stride, self._names)
        if self._order is None and not isinstance(self._plan.source, AllImages | Things):
            raise QueryError(
                "A slice in the source's own order has no form in Cypher: that order is an array. "
                'Give it an order, as in .order_by(F("id")).'
            )
        self._lines += [f"WITH {self._carried()}", f"ORDER BY {self._ordered()}", *bounds]

    def add(self, columns: Sequence[Column]) -> None:
        """See `CypherText`."""
        self._columns += [f"{compile_expression(c.value, self._names)} AS {quoted(c.name)}" for c in columns]

    def select(self, columns: Sequence[Column]) -> None:
        """See `CypherText`; images keep their key."""
        self._columns, self._first = [], self._key
        self.add(columns)

    def group_by(self, keys: Sequence[Column], aggregates: Sequence[Column]) -> CypherText:
        """See `CypherText`."""
        return GroupText(self._lines, keys, aggregates, self._names)

    def text(self) -> str:
        """See `CypherText`."""
        end = [f"RETURN {', '.join([*self._first, *self._columns])}", f"ORDER BY {self._ordered()}"]
        return "\n".join([*self._lines, *end])

    def _source(self, source: Source) -> list[str]:
        match source:
            case AllImages():
                return ["MATCH (i:Image)"]
            case Members(dataset):
                return [
                    f"MATCH (:Dataset {{id: {self._names.parameter(dataset)}}})<-[:PART_OF]-(chunk:MemberChunk)",
                    # Without the WITH, ArcadeDB finds no image.
                    "UNWIND chunk.keys AS key WITH key MATCH (i:Image {key: key})",
                ]
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
                        f"-[:PART_OF]->({variable}set:PredictionSet {{id: {set_id}}}) "
                        f"WHERE {alive('PredictionSet', f'{variable}set')}"
                    )
        return lines

    def _ordered(self) -> str:
        last = "i.key" if self._kind.label == "Image" else self._kind.order
        return ", ".join([*sort_texts(self._order or (), self._names), last])

    def _carried(self) -> str:
        return ", ".join(["i", *self._names.predictions.values()])
