"""Groups as Cypher: the lines that make them from images, and the steps over them."""

from __future__ import annotations

from collections.abc import Sequence

from odin_graph.errors import QueryError
from odin_graph.graph.writer import quoted
from odin_graph.query.cypher.expression import Names, compile_expression, sort_texts
from odin_graph.query.expressions.nodes import aggregates
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.plan import Step
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns


def group_text(lines: list[str], step: GroupBy, after: Sequence[Step], names: Names) -> str:
    """Add the lines that group the images of the lines so far, and those of the steps over the groups.

    Every column is a variable that is carried to the end, so that what was selected away still orders the rows.
    """
    keys = [f"key{place}" for place in range(len(step.keys))]
    requested = list(dict.fromkeys(aggregate for column in step.aggregates for aggregate in aggregates(column.value)))
    terms = [f"{compile_expression(column.value, names)} AS {key}" for key, column in zip(keys, step.keys, strict=True)]
    terms += [f"{compile_expression(aggregate, names)} AS agg{place}" for place, aggregate in enumerate(requested)]
    lines = [*lines, f"WITH {', '.join(terms)}"]
    carried = [*keys, *(f"agg{place}" for place in range(len(requested)))]
    names.aggregates = {aggregate: f"agg{place}" for place, aggregate in enumerate(requested)}
    names.columns = {column.name: key for key, column in zip(keys, step.keys, strict=True)}
    names.types = {column.name: names.type(column.value) for column in step.keys}
    order = [part for key in keys for part in (f"{key} IS NULL", key)]

    def add(columns: Sequence[Column]) -> dict[str, str]:
        """Compute columns under variables of their own; returns the variables by column name."""
        texts = {column.name: compile_expression(column.value, names) for column in columns}
        names.types |= {column.name: names.type(column.value) for column in columns}
        variables = {name: f"col{len(carried) + place}" for place, name in enumerate(texts)}
        lines.append(f"WITH {', '.join([*carried, *(f'{text} AS {variables[name]}' for name, text in texts.items())])}")
        carried.extend(variables.values())
        return variables

    names.columns |= add(step.aggregates)
    for following in after:
        match following:
            case Where(predicate):
                lines += [f"WITH {', '.join(carried)}", f"WHERE {compile_expression(predicate, names)}"]
            case OrderBy(by):
                order = [*sort_texts(by, names), *order]
            case WithColumns(columns):
                names.columns |= add(columns)
            case Select(columns):
                names.columns = add(columns)
            case Slice(start, stop, 1) if (start or 0) >= 0 and (stop or 0) >= 0:
                lines += [f"WITH {', '.join(carried)}", *([f"ORDER BY {', '.join(order)}"] if order else [])]
                lines += [f"SKIP {names.parameter(start or 0)}"]
                lines += [f"LIMIT {names.parameter(max(stop - (start or 0), 0))}"] if stop is not None else []
            case _:
                raise QueryError("A slice from the end, a stride and distinct() have no form in Cypher. Run the query.")
    lines.append(f"RETURN {', '.join(f'{variable} AS {quoted(name)}' for name, variable in names.columns.items())}")
    return "\n".join([*lines, *([f"ORDER BY {', '.join(order)}"] if order else [])])
