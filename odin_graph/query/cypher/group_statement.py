"""Groups as Cypher: the lines that make them from images, and the steps over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.cypher.expression import Names, compile_expression, sort_texts
from odin_graph.query.expressions.nodes import Node, SortKey
from odin_graph.query.expressions.nodes import aggregates as aggregates_of
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.cypher_text import CypherText


class GroupText(CypherText):
    """The lines that group the rows of the lines so far, and those of the steps over the groups.

    Every column is a variable that is carried to the end, so that what was selected away still orders the rows.
    """

    def __init__(
        self, lines: Sequence[str], keys: Sequence[Column], aggregates: Sequence[Column], names: Names
    ) -> None:
        self._names = names
        variables = [f"key{place}" for place in range(len(keys))]
        requested = list(dict.fromkeys(aggregate for column in aggregates for aggregate in aggregates_of(column.value)))
        terms = [f"{compile_expression(key.value, names)} AS {name}" for name, key in zip(variables, keys, strict=True)]
        terms += [f"{compile_expression(aggregate, names)} AS agg{place}" for place, aggregate in enumerate(requested)]
        self._lines = [*lines, f"WITH {', '.join(terms)}"]
        self._carried = [*variables, *(f"agg{place}" for place in range(len(requested)))]
        names.aggregates = {aggregate: f"agg{place}" for place, aggregate in enumerate(requested)}
        names.columns = {column.name: variable for variable, column in zip(variables, keys, strict=True)}
        names.types = {column.name: names.type(column.value) for column in keys}
        self._order = [part for variable in variables for part in (f"{variable} IS NULL", variable)]
        self.add(aggregates)

    def keep(self, predicate: Node) -> None:
        """See `CypherText`."""
        self._lines += [f"WITH {', '.join(self._carried)}", f"WHERE {compile_expression(predicate, self._names)}"]

    def order_by(self, keys: Sequence[SortKey]) -> None:
        """See `CypherText`."""
        self._order = [*sort_texts(keys, self._names), *self._order]

    def cut(self, start: int | None, stop: int | None, stride: int) -> None:
        """See `CypherText`."""
        bounds = bounds_text(start, stop, stride, self._names)
        self._lines += [f"WITH {', '.join(self._carried)}", *self._ordered(), *bounds]

    def add(self, columns: Sequence[Column]) -> None:
        """See `CypherText`."""
        self._names.columns |= self._computed(columns)

    def select(self, columns: Sequence[Column]) -> None:
        """See `CypherText`."""
        self._names.columns = self._computed(columns)

    def group_by(self, keys: Sequence[Column], aggregates: Sequence[Column]) -> NoReturn:  # noqa: ARG002 - of images
        """See `CypherText`; a plan groups once."""
        raise AssertionError("checked when the step was bound")

    def text(self) -> str:
        """See `CypherText`."""
        columns = (f"{variable} AS {quoted(name)}" for name, variable in self._names.columns.items())
        return "\n".join([*self._lines, f"RETURN {', '.join(columns)}", *self._ordered()])

    def _computed(self, columns: Sequence[Column]) -> dict[str, str]:
        """Compute columns under variables of their own; returns the variables by column name."""
        names, carried = self._names, self._carried
        texts = {column.name: compile_expression(column.value, names) for column in columns}
        names.types |= {column.name: names.type(column.value) for column in columns}
        variables = {name: f"col{len(carried) + place}" for place, name in enumerate(texts)}
        terms = [*carried, *(f"{text} AS {variables[name]}" for name, text in texts.items())]
        self._lines.append(f"WITH {', '.join(terms)}")
        carried.extend(variables.values())
        return variables

    def _ordered(self) -> list[str]:
        return [f"ORDER BY {', '.join(self._order)}"] if self._order else []


def bounds_text(start: int | None, stop: int | None, stride: int, names: Names) -> list[str]:
    """The lines that keep the rows from ``start`` to ``stop``.

    Raises:
        QueryError: The positions are counted from the end, or with a stride.
    """
    first = start or 0
    if first < 0 or (stop or 0) < 0 or stride != 1:
        raise QueryError("A slice from the end, or with a stride, has no form in Cypher. Run the query.")
    lines = [f"SKIP {names.parameter(first)}"]
    return lines if stop is None else [*lines, f"LIMIT {names.parameter(max(stop - first, 0))}"]
