"""Random typed expressions over fields whose types are given, and random values for those fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from odin_graph.query.expressions.expressions import as_value
from odin_graph.query.expressions.nodes import (
    And,
    Arithmetic,
    Call,
    Compare,
    Field,
    IsIn,
    IsNull,
    Node,
    Not,
    Or,
    Value,
)
from odin_graph.testing.strategies import ODD, values

WORDS = ["a", "ab", "DME", "naïve", *ODD["string"]]
"""Few, so that equal ones meet; with what a compiler could trip over."""
VALUES: Mapping[str, SearchStrategy[Any]] = {
    name: values(name).filter(lambda one: one is not None and one == one) for name in ODD
}
"""Literals: none is missing."""


def rows(types: Mapping[Field, str]) -> SearchStrategy[dict[Field, Any]]:
    """One image's values, any of them missing."""
    return st.fixed_dictionaries({field: values(type_).map(seen) for field, type_ in types.items()})


def seen(value: Any) -> Any:
    """A stored value as the oracle has it: NaN is missing."""
    return value if value == value else None


def predicates(types: Mapping[Field, str]) -> SearchStrategy[Node]:
    """Conditions whose types fit."""
    leaves = [
        _comparisons(types, names) for names in (("int", "float"), ("string",), ("date",), ("datetime",), ("bool",))
    ]
    leaves += [_memberships(field, type_) for field, type_ in types.items() if type_ in VALUES]
    leaves += [_lists(field, type_[5:-1]) for field, type_ in types.items() if type_.startswith("list[")]
    leaves += [_texts(field) for field, type_ in types.items() if type_ == "string"]
    leaves += [_numbers(field, type_) for field, type_ in types.items() if type_ in ("int", "float")]
    leaves += [_days(field, type_) for field, type_ in types.items() if type_ in ("date", "datetime")]
    leaves.append(st.sampled_from(list(types)).map(IsNull))
    if flags := [field for field, type_ in types.items() if type_ == "bool"]:
        leaves.append(st.sampled_from(flags))
    leaf: SearchStrategy[Node] = st.one_of([leaf for leaf in leaves if leaf is not None])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(lambda nodes: And(tuple(nodes))),
            st.lists(inner, min_size=2, max_size=3).map(lambda nodes: Or(tuple(nodes))),
            inner.map(Not),
            inner.map(IsNull),
        ),
        max_leaves=6,
    )


def _operands(types: Mapping[Field, str], names: tuple[str, ...]) -> SearchStrategy[Node]:
    held: list[SearchStrategy[Node]] = [VALUES[name].map(as_value) for name in names]
    if fields := [field for field, type_ in types.items() if type_ in names]:
        held.append(st.sampled_from(fields))
    operand = st.one_of(held)
    if names != ("int", "float"):
        return operand
    small = st.integers(-3, 3).map(as_value) | st.sampled_from([0.5, 2.0, math.inf, -math.inf]).map(as_value)
    return operand | st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"]), operand, small)


def _comparisons(types: Mapping[Field, str], names: tuple[str, ...]) -> SearchStrategy[Node] | None:
    fields = [field for field, type_ in types.items() if type_ in names]
    if not fields:
        return None
    ops = ["==", "!="] if names == ("bool",) else ["==", "!=", "<", "<=", ">", ">="]
    operand = _operands(types, names)
    return st.builds(Compare, st.sampled_from(ops), operand, operand)


def _memberships(field: Field, type_: str) -> SearchStrategy[Node]:
    of = VALUES["int"] | VALUES["float"] if type_ in ("int", "float") else VALUES[type_]
    asked: SearchStrategy[list[Value]] = st.lists(of.map(as_value), max_size=3)
    return asked.map(lambda held: IsIn(field, tuple(held)))


def _lists(field: Field, item: str) -> SearchStrategy[Node]:
    has = VALUES[item].map(lambda one: Call("has", (field, as_value(one))))
    return has | st.integers(0, 3).map(lambda size: Compare("<", Call("length", (field,)), as_value(size)))


def _texts(field: Field) -> SearchStrategy[Node]:
    word = st.sampled_from(WORDS).map(as_value)
    told = st.builds(
        lambda test, pattern: Call(test, (field, pattern)),
        st.sampled_from(["starts-with", "ends-with", "contains"]),
        word,
    )
    changed = st.sampled_from(["lower", "upper", "strip"]).map(lambda name: Call(name, (field,)))
    patterns = st.sampled_from(["a*", "a|DME", ".", "[^a]+", "日.", ""]).map(as_value)
    return st.one_of(
        told,
        st.builds(Compare, st.just("=="), changed, word),
        st.builds(Compare, st.sampled_from(["<", ">="]), changed, word),
        patterns.map(lambda pattern: Call("matches", (field, pattern))),
        st.builds(Compare, st.just("=="), st.just(Call("length", (field,))), st.integers(0, 5).map(as_value)),
        word.map(lambda other: Compare("==", Call("fill-null", (field, other)), other)),
    )


def _numbers(field: Field, type_: str) -> SearchStrategy[Node]:
    called = st.sampled_from(["abs", "floor", "ceil", "sqrt", "log"]).map(lambda name: Call(name, (field,)))
    if type_ == "int":
        divisors = st.integers(-3, 3) | st.sampled_from(ODD["int"])
        called |= divisors.map(lambda divisor: Call("mod", (field, as_value(divisor))))
    chosen = st.builds(
        lambda other: Call("if-else", (Compare(">", field, as_value(0)), field, other)), VALUES[type_].map(as_value)
    )
    # Not a root or a logarithm with ==: their last digit is each engine's own.
    return st.builds(
        Compare, st.sampled_from(["<", ">"]), called | chosen, st.sampled_from([-1.7, 0.3, 2.7]).map(as_value)
    )


def _days(field: Field, type_: str) -> SearchStrategy[Node]:
    names = ["year", "month", "day", "weekday", *(["hour", "minute"] if type_ == "datetime" else [])]
    part = st.sampled_from(names).map(lambda name: Call(name, (field,)))
    return st.builds(Compare, st.sampled_from(["==", "<"]), part, st.sampled_from([0, 1, 2, 3, 2020]).map(as_value))
