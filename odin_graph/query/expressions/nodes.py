"""The nodes of an expression: frozen, equal by structure, and nothing else.

What users have is `odin_graph.query.expressions.expressions.Expr`, whose operators build these. Plans, caches and the
JSON form have the nodes. A literal keeps its type, because in Python ``1 == 1.0 == True``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator

from odin_graph.errors import ExpressionError

CompareOp: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]
ArithmeticOp: TypeAlias = Literal["+", "-", "*", "/"]
ValueType: TypeAlias = Literal["bool", "int", "float", "string", "date", "datetime"]
PredictionName: TypeAlias = Literal["predicted", "wrong", "confidence", "margin", "entropy", "rank", "probability"]
UnitView: TypeAlias = Literal["units", "channels-max", "channels-mean", "channels-argmax"]
RelationName: TypeAlias = Literal["in-dataset", "used-by", "derived-from", "has-root"]

INT64 = range(-(2**63), 2**63)
_DEEPEST: Final = 180
"""Levels of an expression in JSON, whose readers stop at 200."""
_LARGEST: Final = 100_000
"""Parts of an expression; one that contains itself twice, again and again, soon has more than memory can hold."""


class Part:
    """A part of a query. Its JSON form is closed: a misspelt key is an error, never ignored."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Value(Part):
    """A literal. Dates are ISO 8601 text and infinity is its name, so that a node is its JSON form."""

    type: ValueType
    value: bool | int | float | str
    node: Literal["value"] = "value"

    def __post_init__(self) -> None:
        expected = {"bool": bool, "int": int, "float": float}.get(self.type, str)
        if type(self.value) is not expected and not (self.type == "float" and self.value in _INFINITE):
            raise ExpressionError(f"{self.value!r} is not of type {self.type}: give a value of that type.")
        if isinstance(self.value, float):
            object.__setattr__(self, "value", _canonical(self.value))
        if type(self.value) is int and self.value not in INT64:
            raise ExpressionError(f"{self.value} needs more than 64 bits, which no stored number has: use a float.")
        if isinstance(self.value, str):
            check_text(self.value)
        if self.type in ("date", "datetime"):
            try:
                self.python()
            except ValueError as error:
                raise ExpressionError(
                    f"{self.value!r} is not of type {self.type}: write it as ISO 8601 ({error})."
                ) from error

    def python(self) -> Any:
        """The value as a Python object."""
        if self.type == "date":
            return date.fromisoformat(str(self.value))
        if self.type == "datetime":
            at = datetime.fromisoformat(str(self.value))
            if at.tzinfo is not None:
                raise ValueError("a stored time is UTC and has no zone: leave it out")
            return at
        return float(self.value) if self.type == "float" else self.value


_INFINITE: Final = ("Infinity", "-Infinity")


def _canonical(number: float) -> float | str:
    if math.isnan(number):
        raise ExpressionError("Nothing compares with nan: a missing value is found by .is_null().")
    return number + 0.0 if math.isfinite(number) else _INFINITE[number < 0]  # -0.0 is 0.0


def check_text(text: str) -> None:
    """Refuse a text with a lone surrogate, which neither Arrow, the graph nor JSON takes.

    Raises:
        ExpressionError: It has a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ExpressionError(
            f"{text!r:.80} contains half a character, which cannot be stored: leave it out."
        ) from error


def alike(values: Iterable[Value], of: str) -> list[Any]:
    """The values that something of a type can equal, in that type.

    No int is 0.5, and no float is 2**53 + 1: an int and a float are equal where both are the same number.
    """
    plain = [value.python() for value in values]
    if of == "int":
        return [
            int(number) for number in plain if math.isfinite(number) and number == int(number) and int(number) in INT64
        ]
    return [float(number) for number in plain if float(number) == number] if of == "float" else plain


@dataclass(frozen=True, slots=True)
class ImageField(Part):
    """A field of the image: one of ours, or free metadata. ``label`` is today's truth."""

    name: str
    node: Literal["field"] = "field"


@dataclass(frozen=True, slots=True)
class FrozenLabel(Part):
    """The label that a data set version froze for the image: the meaning of ``F("label")`` over that data set."""

    dataset: str
    node: Literal["frozen-label"] = "frozen-label"


@dataclass(frozen=True, slots=True)
class PredictionField(Part):
    """An experiment's prediction for the image, in its chosen prediction set over a data set version."""

    experiment: str
    dataset: str | None
    """None until a query binds it to the data set that it reads."""
    name: PredictionName
    argument: Value | None = None
    """The class, for ``probability``."""
    node: Literal["prediction"] = "prediction"


@dataclass(frozen=True, slots=True)
class UnitGroup(Part):
    """Units of a layer of an experiment's checkpoint, in an order."""

    experiment: str
    layer: str
    numbers: tuple[int, ...]
    """From 0, in C order of the layer's output for one image; of channels, which."""
    checkpoint: str | None = None
    """None is the experiment's chosen one: the best, else the last."""
    view: UnitView = "units"
    """Every number of the output, or a summary of each channel over its positions."""


@dataclass(frozen=True, slots=True)
class UnitAggregate(Part):
    """The activations of a group of units for the image, as one number."""

    units: UnitGroup
    function: str
    """A registered aggregate of units, or ``value`` of one unit."""
    weights: tuple[float, ...] | None = None
    node: Literal["unit-aggregate"] = "unit-aggregate"


@dataclass(frozen=True, slots=True)
class Relation(Part):
    """Whether the image has a relation to something in the graph; never null."""

    name: RelationName
    to: str
    """The id of the data set version, experiment, image, volume or video."""
    role: str | None = None
    """For ``used-by``: the role of the data set in the experiment; None is any."""
    node: Literal["relation"] = "relation"


@dataclass(frozen=True, slots=True)
class Added(Part):
    """A column that an earlier step added: ``distance``, or one of the user's own."""

    name: str
    node: Literal["added"] = "added"


@dataclass(frozen=True, slots=True)
class Aggregate(Part):
    """One value of a group: a registered aggregate over an expression, or over the rows themselves (``count``)."""

    function: str
    operand: Node | None = None
    node: Literal["aggregate"] = "aggregate"


@dataclass(frozen=True, slots=True)
class Compare(Part):
    """Two values of comparable types; null where either is."""

    op: CompareOp
    left: Node
    right: Node
    node: Literal["compare"] = "compare"


@dataclass(frozen=True, slots=True)
class Arithmetic(Part):
    """``+ - *`` keep integers, ``/`` divides as Python does; null where either is, or where the divisor is zero."""

    op: ArithmeticOp
    left: Node
    right: Node
    node: Literal["arithmetic"] = "arithmetic"


@dataclass(frozen=True, slots=True)
class And(Part):
    """And, by SQL's three values. Flat, so that a thousand operands are not a thousand levels."""

    operands: tuple[Node, ...]
    node: Literal["and"] = "and"


@dataclass(frozen=True, slots=True)
class Or(Part):
    """Or, by SQL's three values; flat."""

    operands: tuple[Node, ...]
    node: Literal["or"] = "or"


@dataclass(frozen=True, slots=True)
class Not(Part):
    """Not; null of null."""

    operand: Node
    node: Literal["not"] = "not"


@dataclass(frozen=True, slots=True)
class IsIn(Part):
    """Equal to one of the values; null of null, except that nothing is in an empty list."""

    operand: Node
    values: tuple[Value, ...]
    node: Literal["is-in"] = "is-in"


@dataclass(frozen=True, slots=True)
class IsNull(Part):
    """Whether the value is missing: never null itself."""

    operand: Node
    node: Literal["is-null"] = "is-null"


@dataclass(frozen=True, slots=True)
class Call(Part):
    """A registered function of values; null where an operand is, unless the function says otherwise."""

    function: str
    operands: tuple[Node, ...]
    node: Literal["call"] = "call"


Field: TypeAlias = ImageField | FrozenLabel | PredictionField | UnitAggregate | Relation | Added | Aggregate
"""Nodes that are read, not calculated from operands."""
Node: TypeAlias = Annotated[
    Value | Field | Compare | Arithmetic | And | Or | Not | IsIn | IsNull | Call, Discriminator("node")
]


@dataclass(frozen=True, slots=True)
class SortKey(Part):
    """One key of an order; missing values come last either way."""

    value: Node
    descending: bool = False


def children(node: Node) -> tuple[Node, ...]:
    """The operands of a node, left to right."""
    match node:
        case Compare(_, left, right) | Arithmetic(_, left, right):
            return (left, right)
        case And(operands) | Or(operands) | Call(_, operands):
            return operands
        case Not(operand) | IsIn(operand) | IsNull(operand):
            return (operand,)
        case Aggregate(_, operand) if operand is not None:
            return (operand,)
        case _:
            return ()


def with_children(node: Node, change: Callable[[Node], Node]) -> Node:
    """The same node over changed operands; one that has none is returned as it is."""
    match node:
        case Compare() | Arithmetic():
            return replace(node, left=change(node.left), right=change(node.right))
        case And() | Or() | Call():
            return replace(node, operands=tuple(map(change, node.operands)))
        case Not() | IsIn() | IsNull():
            return replace(node, operand=change(node.operand))
        case Aggregate(_, operand) if operand is not None:
            return replace(node, operand=change(operand))
        case _:
            return node


def check_size(node: Node) -> None:
    """Refuse an expression that is nested so deeply that it has no JSON form, or has more parts than anybody writes.

    Raises:
        ExpressionError: Says how to write it.
    """
    pending, parts = [(node, 1)], 0
    while pending:
        current, depth = pending.pop()
        parts += 1
        if depth > _DEEPEST or parts > _LARGEST:
            deep = depth > _DEEPEST
            what = f"nested more than {_DEEPEST} levels deep" if deep else f"of more than {_LARGEST:,} parts"
            raise ExpressionError(
                f"An expression is {what}: give a part of it a name with with_columns(), and continue from there."
            )
        deeper = depth + (2 if isinstance(current, And | Or | Call) else 1)  # a list and what is in it
        pending += [(child, deeper) for child in children(current)]


def fields(node: Node) -> Iterator[Field]:
    """Every field that a node reads, left to right, with repetitions."""
    if isinstance(node, Field):
        yield node
    for child in children(node):
        yield from fields(child)


def aggregates(node: Node) -> Iterator[Aggregate]:
    """Every aggregate in an expression, left to right, with repetitions."""
    return (field for field in fields(node) if isinstance(field, Aggregate))
