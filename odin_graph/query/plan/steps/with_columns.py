"""The step ``with_columns``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import pyarrow as pa

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.columns import Column, bind_columns, spell_columns

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText


@dataclass(frozen=True, slots=True)
class WithColumns(RowStep):
    """Add columns to the result."""

    columns: tuple[Column, ...]
    step: Literal["with-columns"] = "with-columns"

    on_groups: ClassVar[bool] = True
    row_by_row: ClassVar[bool] = True

    def bind(self, scope: Scope) -> Self:
        return type(self)(bind_columns(scope, self.columns))

    def nodes(self) -> tuple[Node, ...]:
        return tuple(column.value for column in self.columns)

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        return tuple((column.name, column.value) for column in self.columns)

    def spell(self) -> str:
        return f".with_columns({spell_columns(self.columns)})"

    def cypher(self, to: CypherText) -> CypherText:
        to.add(self.columns)
        return to

    def does(self) -> str:
        return f"columns {', '.join(f'{column.name} = {spell(column.value)}' for column in self.columns)}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        for column in self.columns:
            if column.name in table.column_names:
                raise QueryError(f"The result has a column {column.name!r} already: give the new one another name.")
            table = table.append_column(column.name, over.values(column.value, table))
        return table
