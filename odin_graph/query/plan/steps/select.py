"""The step ``select``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import pyarrow as pa

from odin_graph.query.expressions.nodes import Node
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.columns import Column, bind_columns, spell_columns

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText


@dataclass(frozen=True, slots=True)
class Select(RowStep):
    """Give these columns and no others."""

    columns: tuple[Column, ...]
    step: Literal["select"] = "select"

    on_groups: ClassVar[bool] = True

    def bind(self, scope: Scope) -> Self:
        return type(self)(bind_columns(scope, self.columns, "select"))

    def nodes(self) -> tuple[Node, ...]:
        return tuple(column.value for column in self.columns)

    def columns_after(self, scope: Scope) -> dict[str, str]:
        return {column.name: scope.value_type(column.value) for column in self.columns}

    def spell(self) -> str:
        return f".select({spell_columns(self.columns)})"

    def cypher(self, to: CypherText) -> CypherText:
        to.select(self.columns)
        return to

    def does(self) -> str:
        return f"select {', '.join(column.name for column in self.columns)}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        """See `RowStep`; images keep their key."""
        columns = {"key": table.column("key")} if "key" in table.column_names else {}
        return pa.table(columns | {column.name: over.values(column.value, table) for column in self.columns})
