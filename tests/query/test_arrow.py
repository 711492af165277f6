"""The evaluation over Arrow columns agrees with the obvious loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.columns.floats import canonical
from odin_graph.errors import QueryError
from odin_graph.query.expressions.arrow import evaluate
from odin_graph.query.expressions.expressions import Expr, F
from odin_graph.query.expressions.nodes import Field, ImageField, Node, PredictionField
from odin_graph.query.expressions.types import infer

from .oracle import Row, value_of
from .strategies import predicates, rows

ARROW = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
}
TYPES: dict[Field, str] = {ImageField(f"a {name}"): name for name in ARROW}
TYPES |= {ImageField("int2"): "int", ImageField("float2"): "float"}
TYPES[PredictionField("vgg/1", "test@1", "wrong")] = "bool"


def evaluated(node: Node, images: list[Row]) -> list[Any]:
    def column(field: Field) -> pa.Array:
        return canonical(pa.array([image[field] for image in images], ARROW[TYPES[field]]))

    found: list[Any] = evaluate(node, column, len(images)).to_pylist()
    return found


def agree(said: Node, images: list[Row], found: Callable[[], list[Any]]) -> None:
    """What is found is what a loop finds, and what leaves 64 bits in a loop is refused."""
    try:
        expected = [value_of(said, image) for image in images]
    except OverflowError:
        with pytest.raises(QueryError, match="leaves 64 bits"):
            found()
        return
    assert found() == expected


@given(said=predicates(TYPES), images=st.lists(rows(TYPES), max_size=8))
def test_columns_agree_with_a_loop(said: Node, images: list[Row]) -> None:
    """Whatever the predicate: true, false and null come out where the loop has them."""
    assert infer(said, TYPES.__getitem__) == "bool"
    agree(said, images, lambda: evaluated(said, images))


@given(
    said=predicates(TYPES), images=st.lists(rows(TYPES), max_size=4), valueless=st.sets(st.sampled_from(list(TYPES)))
)
def test_columns_without_any_value_agree_too(said: Node, images: list[Row], valueless: set[Field]) -> None:
    """A field of which no image has a value yet has no type of Arrow's, whatever it is compared or calculated with."""
    images = [image | dict.fromkeys(valueless) for image in images]

    def column(field: Field) -> pa.Array:
        of = None if field in valueless else ARROW[TYPES[field]]
        return canonical(pa.array([image[field] for image in images], of))  # as every column is

    agree(said, images, lambda: evaluate(said, column, len(images)).to_pylist())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (F("int2") == 2.0**53, [False, True]),
        (F("int2") > 2.0**53, [True, False]),
        (F("int2").isin([2**53 + 1, 1.5]), [True, False]),
    ],
)
def test_large_integers_compare_exactly(said: Expr, expected: list[bool]) -> None:
    """2**53 + 1 has no float: a comparison by way of floats would find it equal to 2**53."""
    images: list[Row] = [{ImageField("int2"): 2**53 + 1}, {ImageField("int2"): 2**53}]
    assert evaluated(said.node, images) == expected


def test_integers_that_leave_64_bits_are_an_error() -> None:
    with pytest.raises(QueryError, match="Integer arithmetic leaves 64 bits: multiply by"):
        evaluated((F("int2") * F("int2") > 0).node, [{ImageField("int2"): 2**40}])


def test_division_by_zero_is_missing() -> None:
    assert evaluated((1 / F("float2")).node, [{ImageField("float2"): 0.0}, {ImageField("float2"): 4.0}]) == [None, 0.25]
