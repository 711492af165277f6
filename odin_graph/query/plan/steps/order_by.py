"""The step ``order_by``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node, SortKey
from odin_graph.query.expressions.spelling import spell_key
from odin_graph.query.plan.base_step import RowStep

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText


@dataclass(frozen=True, slots=True)
class OrderBy(RowStep):
    """Order by the keys; ties by the image's key, missing values last."""

    keys: tuple[SortKey, ...]
    step: Literal["order-by"] = "order-by"

    on_groups: ClassVar[bool] = True
    row_by_row: ClassVar[bool] = True
    why: ClassVar[str] = "the keys of the order are Arrow columns"

    def bind(self, scope: Scope) -> Self:
        if not self.keys:
            raise QueryError('order_by() takes at least one key, as in order_by(F("age").desc()).')
        return type(self)(tuple(map(scope.sort_key, self.keys)))

    def nodes(self) -> tuple[Node, ...]:
        return tuple(key.value for key in self.keys)

    def spell(self) -> str:
        return f".order_by({', '.join(map(spell_key, self.keys))})"

    def cypher(self, to: CypherText) -> CypherText:
        to.order_by(self.keys)
        return to

    def does(self) -> str:
        return f"order by {', '.join(map(spell_key, self.keys))}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        columns: dict[str, pa.Array] = {}
        order: list[tuple[str, str]] = []
        for position, key in enumerate(self.keys):
            found = over.values(key.value, table)
            if pa.types.is_null(found.type):
                continue  # no image has a value to order by
            name = f"value{position}"
            columns[name] = found
            order.append((name, "descending" if key.descending else "ascending"))
        # Groups have no key: ties keep their order.
        columns["key"] = table.column("key") if "key" in table.column_names else pa.array(np.arange(table.num_rows))
        order.append(("key", "ascending"))
        return table.take(pc.sort_indices(pa.table(columns), sort_keys=order))  # Arrow, too, puts nulls last either way
