"""Types are known when a step is built."""

from __future__ import annotations

import pytest

from odin_graph.errors import ExpressionError
from odin_graph.query.expressions.expressions import Expr, F, fn
from odin_graph.query.expressions.nodes import Field, ImageField
from odin_graph.query.expressions.types import check_predicate, check_sort_key, infer

TYPES = {
    "age": "int",
    "iop": "float",
    "site": "string",
    "seen": "datetime",
    "left": "bool",
    "tags": "list[string]",
    "nothing": "null",
}


def type_of(field: Field) -> str:
    assert isinstance(field, ImageField)
    return TYPES[field.name]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (F("age") + 1, "int"),
        (F("age") + 1.0, "float"),
        (F("age") / 2, "float"),
        (F("age") > F("iop"), "bool"),
        (F("nothing") == "x", "bool"),
        (F("tags").is_null(), "bool"),
        (F("left") & (F("site") == "a"), "bool"),
        (abs(F("age")), "int"),
        (abs(F("iop")), "float"),
        (fn.year(F("seen")), "int"),
        (F("nothing").lower(), "string"),
        (F("nothing").fill_null("x"), "string"),
        ((F("age") > 1).if_else(F("age"), 0.5), "float"),
        (F("tags").has("x"), "bool"),
        (F("tags").length() % 2, "int"),
    ],
)
def test_types_follow_the_operators(said: Expr, expected: str) -> None:
    assert infer(said.node, type_of) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (F("age") > "60", "F(\"age\") > '60' compares an int with a string: give an int."),
        (F("age") == True, 'F("age") == True compares an int with a bool: give an int.'),  # noqa: E712
        (F("seen") > "2020-01-01", "F(\"seen\") > '2020-01-01' compares a datetime with a string: give a datetime."),
        (F("site").isin(["a", 1]), "F(\"site\").isin(['a', 1]) compares a string with an int: give a string."),
        (F("left") > False, 'F("left") > False: a bool has no order, so only == and != compare it.'),
        (F("site") + 1 > 2, 'F("site") + 1 calculates with a string: + takes numbers.'),
        (F("age").contains("6"), 'F("age").contains(\'6\'): F("age") is an int, and contains() takes a string.'),
        (F("site").starts_with(1), "1 is an int, and starts_with() takes a string"),  # type: ignore[arg-type]
        (F("site").contains(F("site")), 'contains() takes a plain value, not F("site")'),  # type: ignore[arg-type]
        (F("site").matches("("), "not a regular expression of RE2"),
        (F("site").matches(r"(a)\1"), "not a regular expression of RE2"),
        (F("age").lower() == "a", 'F("age") is an int, and lower() takes a string'),
        (fn.hour(F("age")) > 1, "and hour() takes a datetime"),
        (fn.mod(F("age")) > 1, "mod() takes 2 values, not 1"),
        (F("age").fill_null("none") == "none", "its values are of several types, int and string"),
        ((F("age") > 1).if_else(1, "a") == 1, "its values are of several types, int and string"),
        (F("tags").has(1), "a list[string] has no int: give a string"),
        (F("age"), 'F("age") is an int, no condition: compare it with something, or ask .is_null() of it.'),
        (F("age") & (F("age") > 1), 'F("age") is an int, no condition'),
        (~F("site"), 'F("site") is a string, no condition'),
        (F("tags") == F("tags"), "of such a field only .is_null() can be asked here."),
    ],
)
def test_types_that_do_not_fit_are_an_error_at_once(said: Expr, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        check_predicate(said.node, type_of)
    assert message in str(caught.value)


def test_a_list_has_no_order() -> None:
    with pytest.raises(ExpressionError, match="which has no order: order by another field"):
        check_sort_key(F("tags").desc(), type_of)
