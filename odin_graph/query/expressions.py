"""What users write: ``F("age") > 60``, ``exp.wrong & (exp.confidence > 0.9)``.

An `Expr` is a thin wrapper whose operators build nodes. It has no truth value: ``and``, ``or``, ``not``, ``in`` and
chained comparisons would lose half of what was written, so they are errors that say what to write.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar, NoReturn, TypeAlias

from odin_graph.errors import ExpressionError
from odin_graph.query.nodes import (
    Arithmetic,
    Both,
    Compare,
    Either,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    SortKey,
    Text,
    TextOp,
    Value,
)

Operand: TypeAlias = "Expr | bool | int | float | str | date | datetime"


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: `==` builds. Unhashable, since `in` and `set` would call it
class Expr:
    """An expression over images. Compare two of them by ``.node``, which is equal by structure."""

    __array_ufunc__: ClassVar[None] = None  # so that np.float32(0.5) < expression comes to us
    node: Node

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return Expr(Compare("==", self.node, as_node(other)))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return Expr(Compare("!=", self.node, as_node(other)))

    def __lt__(self, other: Operand) -> Expr:
        return Expr(Compare("<", self.node, as_node(other)))

    def __le__(self, other: Operand) -> Expr:
        return Expr(Compare("<=", self.node, as_node(other)))

    def __gt__(self, other: Operand) -> Expr:
        return Expr(Compare(">", self.node, as_node(other)))

    def __ge__(self, other: Operand) -> Expr:
        return Expr(Compare(">=", self.node, as_node(other)))

    def __and__(self, other: object) -> Expr:
        return Expr(Both((*_operands(Both, self), *_operands(Both, _logical(other, "&")))))

    def __or__(self, other: object) -> Expr:
        return Expr(Either((*_operands(Either, self), *_operands(Either, _logical(other, "|")))))

    def __rand__(self, other: object) -> Expr:
        return _logical(other, "&") & self

    def __ror__(self, other: object) -> Expr:
        return _logical(other, "|") | self

    def __invert__(self) -> Expr:
        return Expr(Not(self.node))

    def __add__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("+", self.node, as_node(other)))

    def __radd__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("+", as_node(other), self.node))

    def __sub__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("-", self.node, as_node(other)))

    def __rsub__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("-", as_node(other), self.node))

    def __mul__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("*", self.node, as_node(other)))

    def __rmul__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("*", as_node(other), self.node))

    def __truediv__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("/", self.node, as_node(other)))

    def __rtruediv__(self, other: Operand) -> Expr:
        return Expr(Arithmetic("/", as_node(other), self.node))

    def __neg__(self) -> Expr:
        return 0 - self

    def isin(self, values: Iterable[Any]) -> Expr:
        """Whether it equals one of the values."""
        if isinstance(values, str | bytes):
            raise ExpressionError(f"isin() takes a list of values, not the text {values!r}: write [{values!r}].")
        return Expr(IsIn(self.node, tuple(as_value(value) for value in values)))

    def between(self, low: Operand, high: Operand) -> Expr:
        """``low <= it <= high``, both included."""
        return (self >= low) & (self <= high)

    def is_null(self) -> Expr:
        """Whether it is missing. Every other test of a missing value is neither true nor false."""
        return Expr(IsNull(self.node))

    def is_not_null(self) -> Expr:
        """Whether there is a value."""
        return ~self.is_null()

    def starts_with(self, text: str) -> Expr:
        """Whether a string starts with the text."""
        return self._text("starts_with", text)

    def ends_with(self, text: str) -> Expr:
        """Whether a string ends with the text."""
        return self._text("ends_with", text)

    def contains(self, text: str) -> Expr:
        """Whether a string contains the text."""
        return self._text("contains", text)

    def asc(self) -> SortKey:
        """Smallest first, missing values last: what ``order_by`` does unasked."""
        return SortKey(self.node)

    def desc(self) -> SortKey:
        """Largest first, missing values last."""
        return SortKey(self.node, descending=True)

    def _text(self, op: TextOp, text: str) -> Expr:
        if not isinstance(text, str):
            raise ExpressionError(f"{op}() takes a text, not {text!r}.")
        return Expr(Text(op, self.node, text))

    def __bool__(self) -> NoReturn:
        raise ExpressionError(
            "An expression is neither true nor false: write & | ~ for and, or, not (with brackets around each "
            "comparison), .isin() for in, and .between() for low <= x <= high."
        )

    def __contains__(self, item: object) -> NoReturn:
        raise ExpressionError(f"Write .contains({item!r}) to look into a string.")

    def __repr__(self) -> str:
        from odin_graph.query.spelling import spell

        return spell(self.node)


def F(name: str) -> Expr:  # noqa: N802 - a field is written so often that its name is one letter, as in Django
    """A field of the image, ours (``label``, ``width``) or free metadata (``age``).

    ``F("label")`` is the truth: over a data set the label frozen in it, elsewhere today's. The name is checked when a
    query takes the expression.
    """
    if not isinstance(name, str) or not name:
        raise ExpressionError(f'F() takes the name of a field, not {name!r}: F("label").')
    return Expr(ImageField(name))


def as_node(value: object) -> Node:
    """The node of an expression, or of a plain value."""
    return value.node if isinstance(value, Expr) else as_value(value)


def as_value(value: object) -> Value:
    """The literal of a plain value; scalars of NumPy, Arrow and pandas are taken as what they hold.

    Raises:
        ExpressionError: Nothing compares with such a value.
    """
    if value is None:
        raise ExpressionError("Nothing equals a missing value: write .is_null().")
    for unwrap in ("item", "as_py", "to_pydatetime"):
        if hasattr(value, unwrap):
            value = _unwrapped(value, unwrap)
    match value:
        case bool():
            return Value("bool", value)
        case int():
            return Value("int", value)
        case float():
            return Value("float", value)
        case str():
            return Value("string", str(value))  # an enum of strings is its text
        case datetime():
            # As metadata is stored: a time with a zone by its UTC time, all without a zone.
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
            return Value("datetime", utc.isoformat())
        case date():
            return Value("date", value.isoformat())
    raise ExpressionError(
        f"No field compares with {type(value).__name__} {value!r:.80}: give a number, a text, a truth value or a date."
    )


def _unwrapped(value: object, how: str) -> object:
    try:
        return getattr(value, how)()
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"No field compares with {value!r:.80}: give one value ({error}).") from error


def _operands(kind: type[Both] | type[Either], said: Expr) -> tuple[Node, ...]:
    return said.node.operands if isinstance(said.node, kind) else (said.node,)


def _logical(other: object, op: str) -> Expr:
    if not isinstance(other, Expr):
        raise ExpressionError(
            f"{op} joins two expressions, not {other!r:.80}: put brackets around each comparison, "
            f'as in (F("a") > 1) {op} (F("b") > 2).'
        )
    return other
