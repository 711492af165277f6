"""What users write: ``F("age") > 60``, ``exp.wrong & (exp.confidence > 0.9)``.

An `Expr` is a thin wrapper whose operators build nodes. It has no truth value: ``and``, ``or``, ``not``, ``in`` and
chained comparisons would lose half of what was written, so they are errors that say what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeAlias

from odin_graph.errors import ExpressionError, MetadataError, UnknownNameError
from odin_graph.query.expressions.functions import FUNCTIONS
from odin_graph.query.expressions.nodes import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Compare,
    ImageField,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    Relation,
    SortKey,
    UnitAggregate,
    UnitGroup,
    Value,
    check_text,
)
from odin_graph.query.expressions.spelling import spell
from odin_graph.schema.metadata import as_utc, plain
from odin_graph.schema.several import is_several


class NamesUnits(Protocol):
    """``layer.units[3]``: in an expression it is the value of that unit."""

    @property
    def node(self) -> UnitGroup:
        """The group as a plan has it."""


Operand: TypeAlias = "Expr | NamesUnits | bool | int | float | str | date | datetime"


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: `==` builds. Unhashable, since `in` and `set` would call it
class Expr:
    """An expression over images. To compare two expressions, compare their ``.node``, which is equal by structure."""

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
        return Expr(And((*_operands(And, self), *_operands(And, _logical(other, "&")))))

    def __or__(self, other: object) -> Expr:
        return Expr(Or((*_operands(Or, self), *_operands(Or, _logical(other, "|")))))

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
        """Whether it is equal to one of the values."""
        if isinstance(values, str | bytes):
            raise ExpressionError(f"isin() takes a list of values, not the text {values!r}: write [{values!r}].")
        if not is_several(values):
            raise ExpressionError(f"isin() takes a list of values, not {values!r:.80}: write [...], or == for one.")
        return Expr(IsIn(self.node, tuple(as_value(value) for value in values)))

    def between(self, low: Operand, high: Operand) -> Expr:
        """``low <= it <= high``, both included."""
        return (self >= low) & (self <= high)

    def is_null(self) -> Expr:
        """Whether it is missing. All other conditions on a missing value are neither true nor false."""
        return Expr(IsNull(self.node))

    def is_not_null(self) -> Expr:
        """Whether there is a value."""
        return ~self.is_null()

    def __mod__(self, other: Operand) -> Expr:
        return self._call("mod", other)

    def __rmod__(self, other: Operand) -> Expr:
        return Expr(as_node(other))._call("mod", self)

    def __abs__(self) -> Expr:
        return self._call("abs")

    def starts_with(self, text: str) -> Expr:
        """Whether a text starts with another."""
        return self._call("starts-with", text)

    def ends_with(self, text: str) -> Expr:
        """Whether a text ends with another."""
        return self._call("ends-with", text)

    def contains(self, text: str) -> Expr:
        """Whether a text contains another."""
        return self._call("contains", text)

    def matches(self, pattern: str) -> Expr:
        """Whether a whole text matches a regular expression of RE2 (no look-around, no back-references)."""
        return self._call("matches", pattern)

    def lower(self) -> Expr:
        """A text in lower case."""
        return self._call("lower")

    def upper(self) -> Expr:
        """A text in upper case."""
        return self._call("upper")

    def strip(self) -> Expr:
        """A text without white space at its ends."""
        return self._call("strip")

    def length(self) -> Expr:
        """The number of characters of a text, or of items of a list."""
        return self._call("length")

    def has(self, item: Operand) -> Expr:
        """Whether a list contains the item."""
        return self._call("has", item)

    def fill_null(self, value: Operand) -> Expr:
        """The same, with this value in place of missing values."""
        return self._call("fill-null", value)

    def if_else(self, value: Operand, other: Operand) -> Expr:
        """One value if the condition is true, another if it is false; missing if it is neither."""
        return self._call("if-else", value, other)

    def count(self) -> Expr:
        """In ``agg``: the number of images with a value."""
        return self._aggregate("count")

    def n_unique(self) -> Expr:
        """In ``agg``: the number of different values."""
        return self._aggregate("n-unique")

    def sum(self) -> Expr:
        """In ``agg``: the sum. For a condition, the number of images for which it is true."""
        return self._aggregate("sum")

    def mean(self) -> Expr:
        """In ``agg``: the mean. For a condition, the share of images for which it is true."""
        return self._aggregate("mean")

    def std(self) -> Expr:
        """In ``agg``: the standard deviation of the values as a sample (n - 1)."""
        return self._aggregate("std")

    def median(self) -> Expr:
        """In ``agg``: the median."""
        return self._aggregate("median")

    def min(self) -> Expr:
        """In ``agg``: the smallest value."""
        return self._aggregate("min")

    def max(self) -> Expr:
        """In ``agg``: the largest value."""
        return self._aggregate("max")

    def any(self) -> Expr:
        """In ``agg``: whether the condition is true for any image of the group."""
        return self._aggregate("any")

    def all(self) -> Expr:
        """In ``agg``: whether the condition is false for no image of the group."""
        return self._aggregate("all")

    def asc(self) -> SortKey:
        """Smallest first, missing values last: the default of ``order_by``."""
        return SortKey(self.node)

    def desc(self) -> SortKey:
        """Largest first, missing values last."""
        return SortKey(self.node, descending=True)

    def _call(self, function: str, *others: object) -> Expr:
        return Expr(Call(function, (self.node, *map(as_node, others))))

    def _aggregate(self, name: str) -> Expr:
        return Expr(Aggregate(name, self.node))

    def __bool__(self) -> NoReturn:
        raise ExpressionError(
            "An expression is neither true nor false: write & | ~ for and, or, not (with parentheses around each "
            "comparison), .isin() for in, and .between() for low <= x <= high."
        )

    def __contains__(self, item: object) -> NoReturn:
        raise ExpressionError(f"Write .contains({item!r}) to search in a text.")

    def __repr__(self) -> str:
        return spell(self.node)


def F(name: str) -> Expr:  # noqa: N802 - a field is written so often that its name is one letter, as in Django
    """A field of the image: built-in (``label``, ``width``) or metadata (``age``).

    ``F("label")`` is the true label: in a query over a data set the frozen label, elsewhere the label of today. The
    name is checked when you use the expression in a query.
    """
    if not isinstance(name, str) or not name:
        raise ExpressionError(f'F() takes the name of a field, not {name!r}: F("label").')
    return Expr(ImageField(name))


class Functions:
    """Every registered function by name: ``fn.year(F("seen")) == 2024``."""

    def __getattr__(self, name: str) -> Callable[..., Expr]:
        registered = name.replace("_", "-")
        if name.startswith("_"):
            raise AttributeError(name)
        if registered not in FUNCTIONS:
            raise UnknownNameError.of(FUNCTIONS.kind, name, dir(self))
        return lambda *values: Expr(Call(registered, tuple(map(as_node, values))))

    def __dir__(self) -> list[str]:
        return [name.replace("-", "_") for name in FUNCTIONS]


fn: Final = Functions()


def count() -> Expr:
    """In ``agg``: the number of images of a group."""
    return Expr(Aggregate("count"))


def aggregated(name: str, value: Operand) -> Expr:
    """In ``agg``: a registered aggregate by its name."""
    return Expr(Aggregate(name.replace("_", "-"), as_node(value)))


def in_dataset(dataset: object) -> Expr:
    """Whether the image is a member of a data set version (an id without a version is the latest version)."""
    return Expr(Relation("in-dataset", _id(dataset)))


def used_by(experiment: object, role: str | None = None) -> Expr:
    """Whether the image is in a data set that an experiment used, in any role or in the given one."""
    return Expr(Relation("used-by", _id(experiment), role))


def derived_from(thing: object) -> Expr:
    """Whether the image was made from an image, volume or video, at any depth, also by new pixels."""
    return Expr(Relation("derived-from", _id(thing)))


def has_root(thing: object) -> Expr:
    """Whether an image, volume or video is the root of the image, or of its first version."""
    return Expr(Relation("has-root", _id(thing)))


def _id(thing: object) -> str:
    found = thing if isinstance(thing, str) else getattr(thing, "id", None)
    if not isinstance(found, str) or not found:
        raise ExpressionError(f"A relation needs a thing of the graph or its id, not {thing!r:.80}.")
    check_text(found)
    return found


def as_node(value: object) -> Node:
    """The node of an expression, of a unit, or of a plain value."""
    found = value.node if isinstance(value, Expr) else unit_value(value)
    return as_value(value) if found is None else found


def unit_value(value: object) -> UnitAggregate | None:
    """The value of ``layer.units[3]``, if this is one unit; for several units, binding raises an error."""
    found = getattr(value, "node", None)
    return UnitAggregate(found, "value") if isinstance(found, UnitGroup) else None


def as_value(value: object) -> Value:
    """The literal of a plain value; scalars of NumPy, Arrow and pandas become Python values.

    Raises:
        ExpressionError: Nothing compares with such a value.
    """
    given, value = value, _unwrapped(value)
    if value is None:
        raise ExpressionError("A missing value is equal to nothing: write .is_null().")
    match value:
        case bool():
            return Value("bool", value)
        case int():
            return Value("int", int(value))
        case float():
            return Value("float", float(value))
        case str():
            return Value("string", str.__str__(value))  # an enum of strings is its text
        case datetime():
            return _time(value)
        case date():
            return Value("date", value.isoformat())
    raise ExpressionError(
        f"No field can be compared with {type(given).__name__} {given!r:.80}: give a number, a text, a bool or a date."
    )


def _time(value: datetime) -> Value:
    try:
        return Value("datetime", as_utc(value).isoformat())
    except MetadataError as error:
        raise ExpressionError(str(error)) from error


def _unwrapped(value: object) -> object:
    """The Python value of a scalar of NumPy, Arrow or pandas; anything else as it is."""
    try:
        if getattr(getattr(value, "dtype", None), "kind", None) == "M":  # whose item() may be a number
            found = plain(value)
            return found if isinstance(found, date | None) else value
        for unwrap in ("item", "as_py"):
            if hasattr(value, unwrap):
                value = getattr(value, unwrap)()
        if hasattr(value, "to_pydatetime"):
            return plain(value)  # refuses nanoseconds
    except Exception as error:  # raised by another library's class
        raise ExpressionError(f"No field compares with {value!r:.80}: give one value ({error}).") from error
    return None if type(value).__name__ == "NaTType" else value


def _operands(kind: type[And] | type[Or], expression: Expr) -> tuple[Node, ...]:
    return expression.node.operands if isinstance(expression.node, kind) else (expression.node,)


def _logical(other: object, op: str) -> Expr:
    if not isinstance(other, Expr):
        raise ExpressionError(
            f"{op} joins two expressions, not {other!r:.80}: put parentheses around each comparison, "
            f'as in (F("a") > 1) {op} (F("b") > 2).'
        )
    return other
