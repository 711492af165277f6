"""Compiles an expression to Cypher, by SQL's three values.

One of two independent compilations; the other is `odin_graph.query.arrow`. Values travel as parameters, names between
backticks; no text of a user's enters the statement in another way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, assert_never

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.nodes import (
    Arithmetic,
    Both,
    Compare,
    Either,
    FrozenLabel,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    PredictionField,
    Text,
    Value,
)
from odin_graph.query.spelling import spell

_COMPARE = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEXT = {"starts_with": "STARTS WITH", "ends_with": "ENDS WITH", "contains": "CONTAINS"}
_ON_NODES = frozenset({"predicted", "wrong", "confidence"})


@dataclass
class Names:
    """What a statement calls its parameters and its predictions."""

    parameters: dict[str, Any] = field(default_factory=dict)
    predictions: dict[tuple[str, str], str] = field(default_factory=dict)
    """By experiment and data set: the variable of the image's (:Prediction)."""

    def parameter(self, value: Any) -> str:
        """Bind a value; what stands for it in the text."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def prediction(self, experiment: str, dataset: str) -> str:
        """The variable of the image's prediction by an experiment."""
        return self.predictions.setdefault((experiment, dataset), f"said{len(self.predictions)}")


def compile_expression(node: Node, names: Names) -> str:
    """The expression over the image ``i`` as Cypher text.

    Raises:
        QueryError: A part has no form in Cypher; names it and says why.
    """
    return _Compiler(names).visit(node)


class _Compiler:
    def __init__(self, names: Names) -> None:
        self._names = names

    def visit(self, node: Node) -> str:  # noqa: C901 - one case a node
        match node:
            case Value():
                return self._names.parameter(node.python())
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
            case Compare(op, left, right):
                return f"({self.visit(left)} {_COMPARE[op]} {self.visit(right)})"
            case Arithmetic("/", left, right):
                divisor = f"toFloat({self.visit(right)})"
                return f"(toFloat({self.visit(left)}) / CASE WHEN {divisor} = 0.0 THEN null ELSE {divisor} END)"
            case Arithmetic(op, left, right):
                return f"({self.visit(left)} {op} {self.visit(right)})"
            case Both(operands):
                return f"({' AND '.join(map(self.visit, operands))})"
            case Either(operands):
                return f"({' OR '.join(map(self.visit, operands))})"
            case Not(operand):
                return f"(NOT {self.visit(operand)})"
            case IsIn(operand, values):
                if not values:
                    return "false"
                return f"({self.visit(operand)} IN {self._names.parameter([value.python() for value in values])})"
            case IsNull(operand):
                return f"({self.visit(operand)} IS NULL)"
            case Text(op, operand, pattern):
                return f"({self.visit(operand)} {_TEXT[op]} {self._names.parameter(pattern)})"
        assert_never(node)
