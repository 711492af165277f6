"""What users write builds nodes, and what has no meaning says what to write instead."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from odin_graph.errors import QueryError
from odin_graph.query.expressions.expressions import Expr, F, as_value, fn, in_dataset
from odin_graph.query.expressions.nodes import And, Compare, ImageField, PredictionField, Value
from odin_graph.query.expressions.predictions import PredictionExpressions


class Exp(PredictionExpressions):
    id = "vgg/1"


AGE = F("age")
EXP = Exp()


def test_operators_build() -> None:
    assert (AGE > 60).node == Compare(">", ImageField("age"), Value("int", 60))
    assert (60 < AGE).node == (AGE > 60).node  # noqa: SIM300 - the reflected operator
    assert (np.float64(60) < AGE).node == (AGE > 60.0).node
    assert ((AGE > 1) & (AGE > 2) & (AGE > 3)).node == And(tuple((n < AGE).node for n in (1, 2, 3)))
    assert AGE.between(1, 2).node == ((AGE >= 1) & (AGE <= 2)).node


def test_literals_keep_their_type() -> None:
    """In Python 1 == 1.0 == True; a plan or a cache must not take one for the other."""
    nodes = [(value == AGE).node for value in (1, 1.0, True, "1")]
    assert len(set(nodes)) == 4
    assert all(a != b for i, a in enumerate(nodes) for b in nodes[:i])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(3), Value("int", 3)),
        (np.float32(0.5), Value("float", 0.5)),
        (np.bool_(True), Value("bool", True)),
        (np.str_("a"), Value("string", "a")),
        (date(2020, 1, 2), Value("date", "2020-01-02")),
        (pd.Timestamp("2020-01-02T03:04:05+02:00"), Value("datetime", "2020-01-02T01:04:05")),
        (datetime(2020, 1, 2, tzinfo=UTC), Value("datetime", "2020-01-02T00:00:00")),
    ],
)
def test_scalars_of_other_libraries_are_what_they_hold(given: Any, expected: Value) -> None:
    assert as_value(given) == expected


def test_many_conditions_stay_shallow() -> None:
    """Five thousand operands are one node, so that nothing recurses too deeply."""
    said = AGE == 0
    for number in range(1, 5_000):
        said = said | (number == AGE)
    assert len(said.node.operands) == 5_000  # type: ignore[union-attr]
    assert repr(said).startswith('(F("age") == 0) | (F("age") == 1)')


def test_predictions_name_their_experiment() -> None:
    assert EXP.wrong.node == PredictionField("vgg/1", None, "wrong")
    assert EXP.on("test@1").probability("DME").node == PredictionField(
        "vgg/1", "test@1", "probability", Value("string", "DME")
    )


def test_an_expression_pickles() -> None:
    said = EXP.wrong & (AGE > 60.0)
    assert pickle.loads(pickle.dumps(said)).node == said.node


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (EXP.wrong & (EXP.confidence > 0.9), "vgg/1.wrong & (vgg/1.confidence > 0.9)"),
        (~AGE.is_null(), '~F("age").is_null()'),
        ((AGE + 1) / 2 < 3, '((F("age") + 1) / 2) < 3'),
        (F("id").starts_with("a"), "F(\"id\").starts_with('a')"),
        (fn.year(AGE) % 4 == 0, 'fn.mod(fn.year(F("age")), 4) == 0'),
        (AGE.fill_null(3) > 1, 'F("age").fill_null(3) > 1'),
        ((EXP.wrong.mean() > 0.5), "vgg/1.wrong.mean() > 0.5"),
        (AGE.isin(range(7)), 'F("age").isin([0, 1, 2, 3, 4, ... 2 more])'),
        (EXP.probability("DME") > 0.5, "vgg/1.probability('DME') > 0.5"),
    ],
)
def test_repr_is_what_was_written(said: Expr, expected: str) -> None:
    assert repr(said) == expected


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        (lambda: bool(AGE > 1), "An expression is neither true nor false: write & | ~ for and, or, not"),
        (lambda: 1 < AGE < 5, "An expression is neither true nor false"),
        (lambda: AGE > 1 & AGE, "& joins two expressions, not 1: put parentheses around each comparison"),
        (lambda: (AGE > 1) | True, "| joins two expressions, not True"),
        (lambda: AGE == None, "A missing value is equal to nothing: write .is_null()."),  # noqa: E711
        (lambda: float("nan") < AGE, "Nothing compares with nan: a missing value is found by .is_null()"),
        (lambda: pd.Timestamp("2024-01-01 00:00:00.000000001") < AGE, "is finer than microseconds"),
        (lambda: pa.scalar(1, pa.timestamp("ns")) < AGE, "is finer than microseconds"),
        (lambda: AGE == 2**64, "18446744073709551616 needs more than 64 bits"),
        (lambda: AGE == [1, 2], "No field can be compared with list [1, 2]: give a number"),
        (lambda: np.array([1, 2]) == AGE, "No field compares with array([1, 2]): give one value"),
        (lambda: AGE.isin("DME"), "isin() takes a list of values, not the text 'DME': write ['DME']."),
        (lambda: AGE.isin([1, None]), "A missing value is equal to nothing"),
        (lambda: "a" in AGE, "Write .contains('a') to search in a text."),
        (lambda: fn.lowr(AGE), "There is no expression function 'lowr'. Did you mean 'lower'?"),
        (lambda: in_dataset(3), "A relation needs a thing of the graph or its id, not 3."),
        (lambda: F(""), "F() takes the name of a field, not ''"),
    ],
)
def test_what_has_no_meaning_says_what_to_write(nonsense: Any, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        nonsense()
    assert message in str(caught.value)


def test_an_expression_is_in_no_set() -> None:
    """`in` and `set` would call ==, which builds."""
    with pytest.raises(TypeError, match="unhashable"):
        {AGE}  # noqa: B018
