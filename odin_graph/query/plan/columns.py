"""Named columns of an answer, as steps have them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node, Part, check_text
from odin_graph.query.expressions.spelling import spell

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope


@dataclass(frozen=True, slots=True)
class Column(Part):
    """A named column of the result."""

    name: str
    value: Node


def bind_columns(scope: Scope, columns: tuple[Column, ...], step: str = "with_columns") -> tuple[Column, ...]:
    """Columns, checked, their expressions bound.

    Raises:
        QueryError: A name, a type or a number does not fit.
    """
    check_names(columns, step)
    return tuple(Column(column.name, scope.value(column.value)) for column in columns)


def check_names(columns: tuple[Column, ...], step: str) -> None:
    """Refuse columns without names, or two of one name."""
    twice = [name for name, times in Counter(column.name for column in columns).items() if times > 1]
    if twice or not columns:
        raise QueryError(f"Two columns are named {twice[0]!r}." if twice else f"{step}() takes at least one column.")
    for column in columns:
        check_name(column.name)


def check_name(name: str) -> None:
    """Refuse what is no name of a column."""
    if not name:
        raise QueryError("A column has no name: give it one.")
    check_text(name)
    if name == "key":
        raise QueryError("Every result has the column 'key' already: give yours another name.")


def spell_columns(columns: tuple[Column, ...]) -> str:
    """Columns as Python: ``predicted=exp.predicted, old=F("age") > 60``."""
    return ", ".join(f"{column.name}={spell(column.value)}" for column in columns)
