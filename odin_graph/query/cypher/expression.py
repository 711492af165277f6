"""Compiles an expression to Cypher, by SQL's three values.

One of two independent compilations; the other is `odin_graph.query.expressions.arrow`. Values travel as parameters,
names between backticks; no text of a user's enters the statement in another way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any, assert_never

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.expressions.aggregates import AGGREGATES
from odin_graph.query.expressions.functions import FUNCTIONS
from odin_graph.query.expressions.nodes import (
    Added,
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    CompareOp,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    PredictionField,
    Relation,
    SortKey,
    UnitAggregate,
    Value,
    alike,
)
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.expressions.types import TypeOf, infer
from odin_graph.schema.member_chunk import SPAN

_COMPARE = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FLIPPED: Mapping[CompareOp, CompareOp] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HIGH = "\ue000"
"""The first character after the surrogates."""
_CHUNK = f"(chunk:MemberChunk {{{{number: i.key / {SPAN}}}}})-[:PART_OF]->"
_RELATIONS = {
    "in-dataset": f"EXISTS {{{{ MATCH {_CHUNK}(:Dataset {{{{id: {{to}}}}}}) WHERE i.key IN chunk.keys }}}}",
    "used-by": f"EXISTS {{{{ MATCH {_CHUNK}(:Dataset)<-[u:USED]-(:Experiment {{{{id: {{to}}}}}}) "
    "WHERE i.key IN chunk.keys{role} }}",
    "derived-from": "EXISTS {{ MATCH (i)-[:DERIVED_FROM|REVISION_OF*1..]->(root {{id: {to}}}) }}",
    "has-root": "EXISTS {{ MATCH (i)-[:HAS_ROOT|DERIVED_FROM|REVISION_OF*1..]->(root {{id: {to}}}) "
    "WHERE NOT (root)-[:HAS_ROOT|DERIVED_FROM|REVISION_OF]->() }}",
}
_ON_NODES = frozenset({"predicted", "wrong", "confidence"})


@dataclass
class Names:
    """The names of a statement's parameters and predictions."""

    parameters: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    """By name: the variables of the columns of groups."""
    aggregates: dict[Aggregate, str] = field(default_factory=dict)
    """The variables of aggregates that a line before computed."""
    type_of: TypeOf = field(default=lambda _: "null")
    """The type of a field; columns of groups have theirs in `types`."""
    types: dict[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    """Fields that are the id of another thing ``x``, by the pattern that leads to it from ``i``."""
    predictions: dict[tuple[str, str], str] = field(default_factory=dict)
    """By experiment and data set: the variable of the image's (:Prediction)."""

    def type(self, node: Node) -> str:
        """The type of an expression."""
        return infer(node, lambda of: self.types.get(of.name, "null") if isinstance(of, Added) else self.type_of(of))

    def parameter(self, value: Any) -> str:
        """Bind a value; returns its placeholder in the text."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def prediction(self, experiment: str, dataset: str) -> str:
        """The variable of the image's prediction by an experiment."""
        return self.predictions.setdefault((experiment, dataset), f"prediction{len(self.predictions)}")


def compile_expression(node: Node, names: Names) -> str:
    """The expression over the image ``i`` as Cypher text.

    Raises:
        QueryError: A part has no form in Cypher; names it and says why.
    """
    return _Compiler(names).visit(node)


def sort_texts(keys: Sequence[SortKey], names: Names) -> list[str]:
    """The terms of an ORDER BY. Cypher puts nulls last when ascending and first when descending: we want them last."""
    order = []
    for key in keys:
        by = compile_expression(key.value, names)
        order += [f"{by} IS NULL", f"{by} DESC" if key.descending else by]
    return order


class _Compiler:
    def __init__(self, names: Names) -> None:
        self._names = names

    def visit(self, node: Node) -> str:
        """The text of an expression; floats without NaN, which is missing, and -0.0, which Neo4j orders below 0."""
        match node:
            case ImageField() | PredictionField() | Arithmetic() | Call() if self._names.type(node) == "float":
                return f"head([v IN [{self._text(node)}] WHERE v = v | v + 0.0])"
            case Aggregate() if node in self._names.aggregates and self._names.type(node) == "float":
                return f"head([v IN [{self._text(node)}] WHERE v = v | v + 0.0])"
        return self._text(node)

    def _text(self, node: Node) -> str:  # noqa: C901 - one case a node
        match node:
            case Value("float", str()):
                return "(1.0 / 0.0)" if node.python() > 0 else "(-1.0 / 0.0)"
            case Value():
                return self._names.parameter(node.python())
            case ImageField(name) if name in self._names.links:
                return f"COLLECT {{ MATCH {self._names.links[name]} RETURN x.id }}[0]"
            case ImageField(name):
                return f"i.{quoted(name)}"
            case FrozenLabel(dataset):
                raise QueryError(
                    f'F("label") over {dataset!r} has no form in Cypher: the labels frozen in a data set are an array. '
                    "In Cypher i.label is today's label."
                )
            case PredictionField(experiment, dataset, name):
                if name not in _ON_NODES or dataset is None:
                    raise QueryError(
                        f"{spell(node)} has no form in Cypher: probabilities are an array, not in the graph."
                    )
                return f"{self._names.prediction(experiment, dataset)}.{name}"
            case UnitAggregate():
                raise QueryError(f"{spell(node)} has no form in Cypher: what units say is an array. Run the query.")
            case Compare(op, Value() as left, right) if op in _FLIPPED and not isinstance(right, Value):
                return self._text(Compare(_FLIPPED[op], right, left))
            case Compare(op, left, Value("string", str(text))) if op in _FLIPPED and max(text, default="") >= _HIGH:
                return self._beside_high(op, left, text)
            case Compare(op, left, right):
                return f"({self._beside(left, right)} {_COMPARE[op]} {self._beside(right, left)})"
            case Arithmetic("/", left, right):
                divisor = f"toFloat({self._text(right)})"
                return f"(toFloat({self._text(left)}) / CASE WHEN {divisor} = 0.0 THEN null ELSE {divisor} END)"
            case Arithmetic(op, left, right):
                return f"({self._text(left)} {op} {self._text(right)})"
            case And(operands):
                return f"({' AND '.join(map(self.visit, operands))})"
            case Or(operands):
                return f"({' OR '.join(map(self.visit, operands))})"
            case Not(operand):
                return f"(NOT {self.visit(operand)})"
            case IsIn(operand, values):
                if not values:
                    return "false"
                members = alike(values, self._names.type(operand))
                if not members:
                    return f"CASE WHEN {self.visit(operand)} IS NULL THEN null ELSE false END"
                return f"({self.visit(operand)} IN {self._names.parameter(members)})"
            case IsNull(operand):
                return f"({self.visit(operand)} IS NULL)"
            case Relation(name, to, role):
                condition = f" AND u.role = {self._names.parameter(role)}" if role is not None else ""
                return _RELATIONS[name].format(to=self._names.parameter(to), role=condition)
            case Added(name) if name in self._names.columns:
                return self._names.columns[name]
            case Aggregate() if node in self._names.aggregates:
                return self._names.aggregates[node]
            case Aggregate(function, operand):
                aggregate = AGGREGATES.get(function)
                if aggregate.cypher is None:
                    raise QueryError(f"{spell(node)} has no form in Cypher: the aggregate has none. Run the query.")
                return aggregate.cypher.format("*" if operand is None else self.visit(operand))
            case Added(name):
                raise QueryError(f'F("{name}") has no form in Cypher: a step of the query adds it. Run the query.')
            case Call(function, operands):
                registered = FUNCTIONS.get(function)
                if registered.cypher is None:
                    raise QueryError(f"{spell(node)} has no form in Cypher: the function has none. Run the query.")
                return f"({registered.cypher.format(*map(self.visit, operands))})"
        assert_never(node)

    def _beside_high(self, op: str, node: Node, text: str) -> str:
        """A comparison with a text that has characters after the surrogates, which Neo4j orders as UTF-16 does.

        Where such a character meets another one first, the order is that of a pattern, which goes by code points.
        """
        differs, below = [], []
        for place, char in enumerate(text):
            if char >= _HIGH:
                same = "".join(f"\\x{{{ord(before):x}}}" for before in text[:place])
                differs.append(f"{same}(?!\\x{{{ord(char):x}}})[\\x{{e000}}-\\x{{10ffff}}]")
                if char > _HIGH:
                    below.append(f"{same}[\\x{{e000}}-\\x{{{ord(char) - 1:x}}}]")
        meets, less = (
            self._names.parameter(f"(?s)(?:{'|'.join(patterns) or '(?!)'}).*") for patterns in (differs, below)
        )
        return (
            f"head([v IN [{self.visit(node)}] | CASE WHEN v =~ {meets} "
            f"THEN {'NOT ' if '>' in op else ''}(v =~ {less}) ELSE v {op} {self._names.parameter(text)} END])"
        )

    def _beside(self, node: Node, other: Node) -> str:
        """A side of a comparison. Beside an int, a float beyond 64 bits is infinite: Neo4j takes 2**63 - 1 as 2**63."""
        text = self.visit(node)
        if {self._names.type(node), self._names.type(other)} != {"int", "float"} or self._names.type(node) == "int":
            return text
        if isinstance(node, Value) and (isinf(node.python()) or abs(node.python()) < 2.0**63):
            return text
        return (
            f"head([v IN [{text}] | CASE WHEN v >= 9223372036854775808.0 THEN 1.0 / 0.0 "
            "WHEN v < -9223372036854775808.0 THEN -1.0 / 0.0 ELSE v END])"
        )
